"""Shared by all tests: one torch thread, no telemetry, and the makers of small trials."""

from __future__ import annotations

import os

for name, value in {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # else trials starve beside the other half of the tests
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ[name] = value
for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
    os.environ.pop(name, None)

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

if TYPE_CHECKING:
    from mtlsweep.suites.prepared.splits import PreparedData

# torch and MLflow are imported where they are needed, as pytest-xdist's main process, which runs no test, reads this file, too.

WHOLE_STUDIES = ("end_to_end", "faults", "cluster")
"""Folders whose tests take minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, so that no process is left with one at the end: whole studies, then many tests."""
    size = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.parent.name not in WHOLE_STUDIES, -size[item.path], item.path))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests that need a GPU where there is none; let Ray read its token again, else it knows that of an earlier test."""
    if compiled := sys.modules.get("ray._raylet"):
        compiled.AuthenticationTokenLoader.instance().reset_cache()
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch finds no GPU that it can use")


@pytest.fixture
def make_trial() -> Callable[..., Trial]:
    """Return a maker of trials that differ in what the test names."""

    def make(seed: int = 0, **changes: object) -> Trial:
        fields: dict[str, object] = {
            "suite": "digits",
            "role": "mtl",
            "tasks": ("left", "right"),
            "network": Choice(name="lenet", options={"width": 50}),
            "weighting": Choice(name="cagrad", options={"c": 0.5}),
            "optimizer": Choice(name="adam", options={"weight_decay": 1e-5}),
            "learning_rate": 1e-3,
            "training": Training(epochs=3, batch_size=32),
            "data_fingerprint": "f" * 64,
            "weighting_label": "cagrad",
            "optimizer_label": "adam",
        }
        return Trial(Cell(**{**fields, **changes}), seed)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_finished(make_trial: Callable[..., Trial]) -> Callable[..., FinishedTrial]:
    """Return a maker of finished trials with a curve of `epochs` epochs."""

    def make(seed: int = 0, epochs: int = 3, outcome: Outcome = Outcome.DONE, **changes: object) -> FinishedTrial:
        trial = make_trial(seed, **changes)
        curve = tuple(
            EpochRecord(
                epoch,
                {
                    f"{split}/{task}/accuracy": (epoch + seed) / 10
                    for split in ("val", "test")
                    for task in trial.cell.tasks
                },
                1_700_000_000.5 + epoch,
                2.0,
            )
            for epoch in range(1, epochs + 1)
        )
        cause = None if outcome is Outcome.DONE else "nan"
        execution = Execution(1_700_000_000.0, 1_700_000_009.0, 2.0 * epochs, "host", 1, {"git_sha": "abc"})
        return FinishedTrial(trial, Finished(outcome, curve, cause, cause), execution)

    return make


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """A MultiDigits small enough to train in a second."""
    from mtlsweep.suites.prepared.preparation import prepare
    from mtlsweep.suites.prepared.splits import open_prepared

    directory = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(Choice(name="multidigits", options={"train": 256, "val": 64, "test": 64}), directory)
    return open_prepared(directory)


@pytest.fixture
def in_directory(tmp_path: Path) -> Iterator[Path]:
    """Run the test inside an empty directory."""
    with chdir(tmp_path):
        yield tmp_path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a fresh MLflow database: making its schema takes seconds, copying it none."""
    from mtlsweep.record.mlflow import Tracker

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Tracker(f"sqlite:///{path}", "unused", "ours")
    return path.read_bytes()


@pytest.fixture
def uri(tmp_path: Path, empty_database: bytes) -> str:
    """The tracking URI of an MLflow database without runs."""
    (tmp_path / "mlflow.db").write_bytes(empty_database)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
