"""The file of planned keys changes when and only when the stage has something else to do."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep import paths
from mtlsweep.params import followed
from mtlsweep.params.params import Params, parse_params
from mtlsweep.params.suite import STAGES
from mtlsweep.suites.prepared import prepare
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.sweep.plan.planned_keys import read_planned_keys, write_plan, write_plans
from tests.small_study import small_study

RAW = small_study(2, strategy="grid", weightings=["ew", "cagrad"], learning_rates=[0.01, 0.1])
SEARCH = {"optuna": {"sampler": "random", "cells_tried": 3}}


def params(section: str = "sweep", /, **changes: object) -> Params:
    raw = copy.deepcopy(RAW)
    raw["suites"]["digits"][section].update(changes)
    return parse_params(raw)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(params().suite("digits").data.dataset, directory)
    return directory


@pytest.fixture(autouse=True)
def _prepared(in_directory: Path, prepared: Path) -> None:
    shutil.copytree(prepared, paths.prepared("digits"))


def written(chosen: Params, stage: str = "sweep") -> bytes:
    write_plans(dict.fromkeys(STAGES, chosen), "digits")
    return (paths.plan("digits") / f"{stage}.json").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"weightings": ["ew"]},
        {"learning_rates": [0.01]},
        {"seeds": [0]},
        {"strategy": "race"},
        {"strategy": SEARCH},
        {"weightings": [{"ew": {"scale": "unit"}}, "cagrad"]},
    ],
)
def test_another_plan_is_another_file(change: dict[str, object]) -> None:
    assert written(params(**change)) != written(params())


@pytest.mark.parametrize(
    "change",
    [
        {"weightings": ["cagrad", "ew"]},
        {"learning_rates": [0.1, 0.01]},
        {"weightings": ["ew", {"cagrad": {"c": 0.5}}]},
    ],
)
def test_the_same_plan_said_otherwise_is_the_same_file(change: dict[str, object]) -> None:
    assert written(params(**change)) == written(params())


def test_a_stage_does_not_follow_what_only_the_other_trains() -> None:
    before = written(params(), "baselines")
    assert written(params(seeds=[0, 1, 2]), "baselines") == before
    assert written(params("training", epochs=3), "baselines") != before


def test_an_adaptive_plan_is_its_space_and_its_settings() -> None:
    before = written(params(strategy=SEARCH))
    assert "trials" not in json.loads(before)
    assert read_planned_keys(params(strategy=SEARCH), "digits", "sweep") is None
    other = {"optuna": {**SEARCH["optuna"], "cells_tried": 4}}
    assert written(params(strategy=other)) != before
    assert written(params(strategy=SEARCH, weightings=["ew"])) != before


def test_the_file_names_the_keys_and_the_metrics() -> None:
    content = json.loads(written(params()))
    trials = {trial.key: trial.name for trial in open_plan(params(), "digits", "sweep").trials}
    assert content["trials"] == trials
    assert read_planned_keys(params(), "digits", "sweep") == sorted(trials)
    assert {"task": "left", "metric": "accuracy", "higher_is_better": True, "in_delta_m": True} in content["metrics"]


def no_plan(*arguments: object) -> None:
    raise AssertionError("a plan was made")


def other_params() -> Params:
    return params(seeds=[5])


def replaced() -> Params:
    """As `dvc checkout` of another commit does."""
    content = written(other_params())
    written(params())
    (paths.plan("digits") / "sweep.json").write_bytes(content)
    return params()


def other_data() -> Params:
    prepare(
        parse_params(RAW).suite("digits").data.dataset.model_copy(update={"options": {"train": 32}}),
        paths.prepared("digits"),
    )
    return params()


def other_package(monkeypatch: pytest.MonkeyPatch) -> Params:
    folder = Path("package")
    folder.mkdir()
    (folder / "changed.py").write_text("a = 1")
    monkeypatch.setattr(followed, "PACKAGE_FOLDER", folder)
    return params()


def test_an_unchanged_plan_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(params())
    times = {path: path.stat().st_mtime_ns for path in paths.plan("digits").iterdir()}
    monkeypatch.setattr("mtlsweep.sweep.plan.plan.open_plan", no_plan)
    assert written(params()) == before
    assert {path: path.stat().st_mtime_ns for path in paths.plan("digits").iterdir()} == times


@pytest.mark.parametrize("change", [other_params, replaced, other_data])
def test_a_file_made_from_something_else_is_not_believed(change: Callable[[], Params]) -> None:
    written(params())
    assert read_planned_keys(change(), "digits", "sweep") is None


def test_a_file_made_by_other_code_of_the_package_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    written(params())
    assert read_planned_keys(other_package(monkeypatch), "digits", "sweep") is None


def test_without_prepared_data_nothing_is_written() -> None:
    shutil.rmtree(paths.prepared("digits"))
    with pytest.raises(OSError, match=r"summary\.json"):
        write_plan(params(), "digits", "sweep", open_plan(params(), "digits", "sweep"))
    assert not paths.plan("digits").exists()
