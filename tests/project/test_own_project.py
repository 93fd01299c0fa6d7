"""README's two commands, with a wheel in an environment of its own: a project that runs where there is no clone of this repository."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
SMALL = {"training": {"epochs": 2}, "baselines": {"seeds": [0]}, "sweep": {"weightings": ["ew", "uw"], "seeds": [0]}}


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a shell in a fresh environment: mtlsweep is that of the wheel, all that it depends on is this one's."""
    root = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    python = root / "bin/python"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    (packages,) = root.glob("lib/*/site-packages")
    (packages / "others.pth").write_text(f"{importlib.metadata.distribution('dvc').locate_file('')}\n")
    (root / "bin/dvc").write_text(f"#!{python}\nimport sys\nfrom dvc.cli import main\nsys.exit(main())\n")
    (root / "bin/dvc").chmod(0o755)
    path = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PATH": path}


def two_commands() -> list[str]:
    """Return the commands in README's first block, without comments."""
    block = re.findall(r"```sh\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)[0]
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


def run(command: str, cwd: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(command, shell=True, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_two_commands_of_the_readme_make_a_report_that_a_second_run_keeps(
    environment: dict[str, str], tmp_path: Path
) -> None:
    install, make_and_run = two_commands()
    assert install == "pip install git+<this repository>"  # of which the fixture has installed the wheel
    make, enter, *repro = make_and_run.split(" && ")
    assert enter == "cd my-study" and repro == ["dvc repro"]
    run(make, tmp_path, environment)
    study = tmp_path / "my-study"
    where = (
        "import importlib.util as u, mtlsweep; print(mtlsweep.__file__, u.find_spec('stages'), u.find_spec('pipeline'))"
    )
    file, *others = run(f'python -c "{where}"', study, environment).split()
    assert str(PROJECT) not in file and others == ["None", "None"]

    params = yaml.safe_load((study / "params.yaml").read_text())
    (suite,) = params["suites"]
    for section, fields in SMALL.items():
        params["suites"][suite][section] |= fields
    (study / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run("git add --all && git -c user.name=ada -c user.email=ada@example.org commit -qm Start", study, environment)
    run("dvc repro", study, environment)
    assert "relative_error" in (study / "reports/index.html").read_text()
    results = {path: path.stat().st_mtime_ns for path in study.glob("results/*/ledger/*/result.json")}
    assert len(results) >= 3 * 2 + 2 * 2 * 3
    provenance = json.loads(next(study.glob("results/*/sweep/provenance.json")).read_bytes())
    assert provenance["git_sha"] == run("git rev-parse HEAD", study, environment).strip()
    assert provenance["versions"]["mtlsweep"]

    said = run("dvc repro", study, environment)
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert re.findall(r"Running stage '(\w+)", said) == ["package", "dataset", "plan"]

    (study / "my_tasks.py").write_text((study / "my_tasks.py").read_text().replace("square().mean()", "abs().mean()"))
    assert "are trained again, because this has changed" in run("mtlsweep plan", study, environment)


def test_the_other_command_of_the_readme_is_what_tests_of_a_clone_run() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    assert blocks[1].partition("  #")[0].strip() == "git clone <this repository> mtlsweep && cd mtlsweep && make repro"
    if make := shutil.which("make"):
        shown = subprocess.run([make, "-n", "repro"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
        assert "dvc repro" in shown.splitlines()  # which tests/end_to_end runs in a clone
