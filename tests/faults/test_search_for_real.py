"""An adaptive search: stopped in the middle, continued, complete, and nothing left to do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml
from optuna.storages.journal import JournalFileBackend

from tests.forks import run_module

from .conftest import INLINE, SUITE, TINY, Sweep

pytestmark = [pytest.mark.slow]

CELLS = 6
SEARCH: dict[str, Any] = {
    "strategy": {
        "optuna": {
            "sampler": "nsga2",
            "cells_tried": CELLS,
            "space": {
                "learning_rate": {"low": 0.0001, "high": 0.01},
                "cagrad.c": {"low": 0.1, "high": 0.9},
                "scalar.left": {"low": 0.1, "high": 10, "log": True},
            },
            "asha": {"first": 0.34, "eta": 2},
        }
    },
    "weightings": ["ew", "cagrad", {"scalar": {"left": 1, "right": 1, "mass": 1}}],
    "optimizers": ["adam", "sgd"],
    "learning_rates": [0.001],
    "seeds": [0, 1],
}


def stage(
    sweep: Sweep, name: str, search: dict[str, Any] = SEARCH, **resources: Any
) -> subprocess.CompletedProcess[str]:
    params = {
        **TINY,
        "suites": {SUITE: {**TINY["suites"][SUITE], "sweep": search}},
        "resources": {**INLINE, **resources},
    }
    (sweep.root / "params.yaml").write_text(yaml.safe_dump(params))
    words = [f"stages.{name}", SUITE] if name in ("sweep", "analyse") else ["mtlsweep.cli.main", name, "--json"]
    return run_module(sweep.root, *words)


def test_a_search_continues_where_it_stopped(baselines: Sweep, tmp_path: Path) -> None:
    sweep = baselines.copy(tmp_path / "study")
    (plan,) = json.loads(stage(sweep, "plan").stdout)
    assert plan["stages"]["sweep"]["planned"] == CELLS * 2
    assert plan["stages"]["sweep"]["forecast"]["device_hours"] > 0

    stopped = stage(sweep, "sweep", budget={"trials": 4})
    assert stopped.returncode == 2
    assert "`resources.budget.trials` (4) is used up" in stopped.stderr
    ended = sweep.results()
    done = stage(sweep, "sweep")
    assert done.returncode == 0, done.stderr
    assert {key: when for key, when in sweep.results().items() if key in ended} == ended

    outcomes = pd.read_parquet(sweep.tables / "outcomes.parquet")
    assert outcomes["cell_key"].nunique() == CELLS
    assert set(outcomes["outcome"]) == {"done", "pruned"}
    assert set(outcomes["weighting"]) <= {"ew", "cagrad", "scalar(right=1,mass=1)", "scalar(mass=1,right=1)"}
    assert outcomes["lr"].between(0.0001, 0.01).all()

    journal = JournalFileBackend(str(sweep.root / "results" / SUITE / "optuna.journal"))
    storage = optuna.storages.JournalStorage(journal)
    study = optuna.load_study(study_name=None, storage=storage)
    assert {trial.user_attrs["cell_key"] for trial in study.trials} == set(outcomes["cell_key"])
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}

    before = sweep.results()
    again = stage(sweep, "sweep")
    assert "nothing to run" in again.stdout
    assert sweep.results() == before
    assert stage(sweep, "analyse").returncode == 0
    (status,) = json.loads(stage(sweep, "status").stdout)
    assert sum(status["stages"]["sweep"]["outcomes"].values()) == len(outcomes)


def test_a_search_is_complete_when_its_space_is_exhausted(baselines: Sweep, tmp_path: Path) -> None:
    sweep = baselines.copy(tmp_path / "study")
    search = {
        "strategy": {"optuna": {"sampler": "random", "cells_tried": 5}},
        "weightings": ["ew"],
        "optimizers": ["adam"],
        "learning_rates": [0.001, 0.002],
        "seeds": [0],
    }
    done = stage(sweep, "sweep", search)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(sweep.tables / "outcomes.parquet")) == 2
    ended = sweep.results()
    again = stage(sweep, "sweep", search)
    assert again.returncode == 0, again.stderr
    assert sweep.results() == ended
