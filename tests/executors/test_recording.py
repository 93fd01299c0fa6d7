"""A sweep whose record in MLflow fails: what is computed is safe, and the user reads what happened at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mtlsweep.cli.main import app
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.sweep.stage import run_stage
from mtlsweep.trials.state import FinishedTrial

from .conftest import SUITE, Write

GRID = {"strategy": "grid"}
PLANNED = 2 * 2 * 2


@pytest.mark.slow
def test_a_mistake_of_ours_stops_the_sweep_and_keeps_what_is_computed(
    study: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(tracker: Tracker, finished: FinishedTrial, tags: Mapping[str, str]) -> None:
        raise KeyError("no such metric")

    params, ledger = study(**GRID), Ledger(Path("results"), SUITE)
    begun = len(ledger.finished_keys())
    with monkeypatch.context() as patched:
        patched.setattr(Tracker, "finish", mistaken)
        with pytest.raises(KeyError, match="no such metric"):
            run_stage(params, SUITE, "sweep")
    kept = ledger.finished_keys()
    assert begun < len(kept) < begun + PLANNED
    run_stage(params, SUITE, "sweep")
    assert len(ledger.finished_keys()) == begun + PLANNED


@pytest.mark.parametrize(
    "command", [["mlflow", "rebuild"], ["ui"], ["retry", SUITE], ["plan"], ["status"], ["failures"]], ids=" ".join
)
def test_no_exception_of_mlflow_reaches_the_terminal(study: Write, command: list[str]) -> None:
    """The server answers its first questions, and then fails."""
    study()
    with sqlite3.connect("mlflow.db") as database:
        database.executescript("DROP TABLE runs; DROP TABLE experiments")
    result = CliRunner().invoke(app, command)
    if command[0] in ("plan", "status", "failures"):
        assert result.exit_code == 0
        return
    assert result.exit_code == 2
    assert "tracking server sqlite:///" in result.output
    assert "Traceback" not in result.output
