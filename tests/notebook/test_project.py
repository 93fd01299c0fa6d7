"""`Project` does what the stages do: the same keys, the same ledger, the same bytes."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import mtlsweep
from mtlsweep.project.objects import named
from tests.forks import run_module

from .conftest import CONTENT, MY_TASKS


def tables(directory: Path) -> dict[str, bytes]:
    """Return the tables that say what was found; costs differ between two equal studies."""
    results = directory / "results" / "mine"
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.rglob("*.parquet")
        if path.name != "costs.parquet"
    }


def test_a_mistake_is_one_sentence_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_cell("import mtlsweep\nmtlsweep.Project({'active': ['mine'], 'suitess': {}})")
    assert capsys.readouterr().out.splitlines() == [
        "mtlsweep: params: `suitess` is an unknown key; did you mean `suites`? Allowed: active, suites, studies, resources, "
        "notify, defaults."
    ]


@pytest.mark.slow
def test_a_run_is_that_of_the_stages_and_trains_nothing_twice(my_tasks: Path, tmp_path: Path) -> None:
    project = mtlsweep.Project(CONTENT, directory=my_tasks).run()
    results = project.results()
    assert list(results["test_delta_m_mean"]) == sorted(results["test_delta_m_mean"])
    assert set(results["optimizer"]) == {"adam", "sgd"}
    assert len(project.trials()) == 4
    assert set(project.front()["trial_key"]) <= set(project.trials()["trial_key"])
    assert (project.plan()["finished"] == 1).all()
    assert project.report() == my_tasks / "reports" / "index.html"
    assert "slope" in project.charts()

    other = tmp_path / "by_stages"
    other.mkdir()
    (other / "my_tasks.py").write_text(MY_TASKS)
    (other / "params.yaml").write_text(yaml.safe_dump(CONTENT))
    for name in ("prepare", "baselines", "sweep", "analyse"):
        done = run_module(other, f"stages.{name}", "mine")
        assert done.returncode == 0, done.stderr
    assert tables(other) == tables(my_tasks)
    written = {path: path.stat().st_mtime_ns for path in my_tasks.glob("results/mine/ledger/*/result.json")}
    assert len(written) == 4
    project.run()
    assert {path: path.stat().st_mtime_ns for path in written} == written

    (key, *_) = project.trials()["trial_key"]
    curve = project.train(key)
    assert list(curve["epoch"]) == [1]


def test_objects_stand_for_their_names(my_tasks: Path) -> None:
    sys.path.insert(0, str(my_tasks))
    mine: Any = importlib.import_module("my_tasks")
    suite = CONTENT["suites"]["mine"]
    with_objects = {
        **CONTENT,
        "suites": {"mine": {**suite, "data": {"dataset": {mine.digits: {}}}, "network": mine.net}},
    }
    by_name, by_object = (mtlsweep.Project(content, directory=my_tasks).params for content in (CONTENT, with_objects))
    assert by_name == by_object


def _in_notebook() -> type:
    return type("Own", (), {"__module__": "__main__"})


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (_in_notebook(), "defined in a notebook or script.*put it into a file next to params.yaml"),
        (lambda: None, "defined inside a function"),
        (mtlsweep.Project, "is built in: give its name"),
    ],
)
def test_an_object_without_a_file_is_refused(value: object, sentence: str) -> None:
    with pytest.raises(mtlsweep.UserError, match=sentence):
        named({"network": value})


@pytest.mark.slow
def test_code_edited_after_its_import_is_refused_until_it_is_loaded_again(my_tasks: Path) -> None:
    project = mtlsweep.Project(CONTENT, directory=my_tasks)
    with pytest.raises(mtlsweep.UserError, match="is missing; run"):
        project.report()
    importlib.import_module("my_tasks")
    with pytest.raises(mtlsweep.UserError, match="is missing; run"):
        project.report()
    (my_tasks / "my_tasks.py").write_text(MY_TASKS + "\nEDITED = True\n")
    with pytest.raises(mtlsweep.UserError, match=r"edited after this process imported it.*restart the kernel"):
        project.report()
    importlib.reload(sys.modules["my_tasks"])
    with pytest.raises(mtlsweep.UserError, match="is missing; run"):
        project.report()


def test_several_active_suites_must_be_named(tmp_path: Path) -> None:
    suites: Mapping[str, Any] = dict.fromkeys(("one", "two"), CONTENT["suites"]["mine"])
    project = mtlsweep.Project({**CONTENT, "active": ["one", "two"], "suites": suites}, directory=tmp_path)
    with pytest.raises(mtlsweep.UserError, match="2 active suites: name one of one, two"):
        project.results()


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, mtlsweep; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
