# `make repro` runs the pipeline and says where its report is; `make test` runs every check and test; `make gpu-test` tries a GPU.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed

# No telemetry from any tool, and the environment's own programs first.
export RAY_USAGE_STATS_ENABLED := 0
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
# Tests start many processes: each would compile the package anew if byte code were not kept.
export PYTHONDONTWRITEBYTECODE :=
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test quick venv ui check unit rooms schema template clean gpu-test site bench bench-quick coverage mutation lowest

repro: venv
	dvc repro
	@echo
	@echo "report:    file://$(CURDIR)/reports/index.html"
	@echo "MLflow UI: make ui   (then open http://127.0.0.1:5000)"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
# Of 24,000 files a fifth is ever imported, and compiled then; pip would compile all, which is a third of its time.
	pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
# imagecorruptions-imaug asks for the OpenCV that needs a screen's libraries; the headless one has the same files.
	pip uninstall --quiet --yes opencv-python
	pip install --quiet --disable-pip-version-check --no-compile --no-deps --force-reinstall -c constraints.txt opencv-python-headless
	touch $@

ui: venv
	mtlsweep ui

check: venv
	ruff check .
	ruff format --check .
	mypy
	lint-imports

# Lint, types and unit tests that are not marked slow, side by side.
quick: venv
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target check unit

unit: venv
	pytest -n 2 --dist loadfile -m "not slow"

# The fast tests with the share of branches that they take, which pyproject.toml holds to a minimum; files below it are listed.
coverage: venv
	pytest -n 2 --dist loadfile -m "not slow" --cov --cov-report=term:skip-covered

# Does a test fail when identity, selection or ledger is changed? See docs/contributing/mutation.md.
mutation: venv
	python tests/mutation.py

# The fast tests with the lowest versions that pyproject.toml allows, in an environment of their own (6 GB: torch for GPUs).
LOWEST := build/lowest
lowest: venv
	uv venv --quiet --clear --python "$$(command -v python)" $(LOWEST)
	uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[dev]'
	uv pip uninstall --quiet --python $(LOWEST)/bin/python opencv-python
	uv pip install --quiet --python $(LOWEST)/bin/python --reinstall --no-deps --resolution lowest 'opencv-python-headless>=4.10.0.84'
	PATH="$(CURDIR)/$(LOWEST)/bin:$$PATH" pytest -n 2 --dist loadfile -m "not slow"

test: check
	pytest -n 2 --dist loadfile

# On a machine with a GPU: does every method train on it, resume on it, and wait for it once a step? Elsewhere all are skipped.
gpu-test: venv
	pytest -m gpu

# Every benchmark beside its peers, as one table in build/benchmarks.md: 45 minutes; the quick form takes two minutes.
bench: venv
	python -m benchmarks.all

bench-quick: venv
	python -m benchmarks.all --quick

# The documentation as a site, in build/site; a warning is an error.
site: venv
	NO_MKDOCS_2_WARNING=true mkdocs build --quiet
	@echo "site: file://$(CURDIR)/build/site/index.html   (its search needs a server: python -m http.server --directory build/site)"

rooms: venv
	python docs/draw_rooms.py

schema: venv
	mtlsweep schema > docs/params.schema.json

template: venv
	python tests/project/derived_template.py

clean:
	rm -rf $(VENV)
