"""A finished suite in miniature: prepared data, a ledger with one multi-task and three single-task trials, tables."""

from __future__ import annotations

import math
import os
import shutil
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import torch

from mtlsweep import paths
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params, parse_params
from mtlsweep.params.suite import Training
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import PreparedData, open_prepared
from mtlsweep.training.trial import run_trial
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import Execution, Finished, FinishedTrial
from mtlsweep.trials.trial import Trial

SUITE = "digits"
RAW = {
    "active": [SUITE],
    "suites": {
        SUITE: {
            "data": {"dataset": {"multidigits": {"train": 96, "val": 32, "test": 40}}},
            "network": {"lenet": {"downsampling": "stride"}},
            "training": {"epochs": 2, "batch_size": 32},
            "baselines": {"learning_rates": [0.003], "seeds": [0]},
            "sweep": {"weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.003], "seeds": [0]},
            "studies": {
                "gradients": {"every": 2, "samples": 3},
                "robustness": {
                    "corruptions": ["contrast", "gaussian_noise"],
                    "severities": [1, 5],
                    "fine_tuning": {"epochs": 1, "train_samples": 32},
                },
            },
        }
    },
}


@dataclass(frozen=True)
class MiniSuite:
    """What the stages up to `analyse` leave behind, in the current directory."""

    params: Params
    data: PreparedData
    ledger: Ledger
    multi: FinishedTrial
    weights: bytes

    def params_with(self, study: str, **changes: object) -> Params:
        """Return the params with fields of one study changed."""
        suite = self.params.suites[SUITE]
        section = getattr(suite.studies, study).model_copy(update=changes)
        studies = suite.studies.model_copy(update={study: section})
        return self.params.model_copy(update={"suites": {SUITE: suite.model_copy(update={"studies": studies})}})


def finish(tasks: tuple[str, ...], data: PreparedData, ledger: Ledger) -> tuple[FinishedTrial, bytes]:
    """Train a trial to its end, keep it with the weights of its last epoch, and return both."""
    network = NETWORKS.resolve(Choice(name="lenet", options={"downsampling": "stride"}))
    role: Literal["stl", "mtl"] = "mtl" if len(tasks) > 1 else "stl"
    cell = Cell(
        suite=SUITE,
        role=role,
        tasks=tasks,
        network=network,
        weighting=WEIGHTINGS.resolve(Choice(name="ew")),
        optimizer=OPTIMIZERS.resolve(Choice(name="adam")),
        learning_rate=0.003,
        training=Training(epochs=2, batch_size=32),
        data_fingerprint=data.fingerprint,
        weighting_label="ew" if role == "mtl" else "stl",
        optimizer_label="adam",
    )
    trial = Trial(cell, 0)
    weights: list[bytes] = []
    device = torch.device("cpu")
    result = run_trial(trial, data, lambda end: weights.append(end.weights()), score=lambda _: math.inf, device=device)
    assert isinstance(result, Finished)
    finished = FinishedTrial(trial, result, Execution(0.0, 1.0, 1.0, "host", 1, {}))
    ledger.start(trial)
    ledger.finish(finished)
    ledger.checkpoints.save_best(trial.key, weights[-1])
    return finished, weights[-1]


@pytest.fixture(scope="session")
def trained_suite(
    tmp_path_factory: pytest.TempPathFactory, empty_database: bytes
) -> tuple[Path, tuple[FinishedTrial, bytes]]:
    """A directory with a finished suite, and its multi-task trial with its weights; every best epoch is the second."""
    directory = tmp_path_factory.mktemp("suite")
    with chdir(directory):
        Path("mlflow.db").write_bytes(empty_database)
        params = parse_params(RAW)
        prepare(params.suite(SUITE).data.dataset, paths.prepared(SUITE))
        data, ledger = open_prepared(paths.prepared(SUITE)), Ledger(params.resources.ledger_root, SUITE)
        names = tuple(task.name for task in data.tasks)
        made = [finish(tasks, data, ledger) for tasks in (names, *((name,) for name in names))]
        write_tables([finished for finished, _ in made])
    return directory, made[0]


@pytest.fixture
def mini_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained_suite: tuple[Path, tuple[FinishedTrial, bytes]]
) -> MiniSuite:
    """Return a copy of the finished suite in an empty directory, which is the current one."""
    finished, (multi, weights) = trained_suite
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    # MLflow keeps a store open for each URI, so a relative one would mean the database of another test.
    params = parse_params({**RAW, "resources": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}})
    ledger = Ledger(params.resources.ledger_root, SUITE)
    return MiniSuite(params, open_prepared(paths.prepared(SUITE)), ledger, multi, weights)


def write_tables(finished: list[FinishedTrial]) -> None:
    rows = [
        {
            "trial_key": one.trial.key,
            "cell_key": one.trial.cell.key,
            "role": one.trial.cell.role,
            "task": one.trial.cell.tasks[0] if one.trial.cell.role == "stl" else None,
            "weighting": one.trial.cell.weighting_label,
            "optimizer": "adam",
            "lr": 0.003,
            "seed": 0,
            "outcome": one.state.outcome.value,
            "best_epoch": 2,
        }
        for one in finished
    ]
    trials = pd.DataFrame(rows)
    multi = trials[trials["role"] == "mtl"]
    results = multi[["weighting", "optimizer", "lr", "cell_key"]].assign(val_delta_m_mean=1.0)
    directory = paths.results(SUITE)
    write_table(directory / "trials.parquet", trials)
    write_table(directory / "analysis" / "results.parquet", results)
    write_table(directory / "analysis" / "baselines.parquet", trials[trials["role"] == "stl"][["task", "cell_key"]])
