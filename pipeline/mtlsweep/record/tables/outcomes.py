"""How each trial ended, and what it cost, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mtlsweep.params.suite import AXES
from mtlsweep.record.tables.parquet import read_table, write_table
from mtlsweep.record.tables.schema import COSTS, OUTCOMES, outcomes_schema
from mtlsweep.trials.state import FinishedTrial


def build_outcomes(finished: Iterable[FinishedTrial]) -> pd.DataFrame:
    """Return one row a trial: what it was and how it ended; with a column for each axis of the sweep, if it has any."""
    finished = list(finished)
    axes = sorted({axis for one in finished for axis in one.trial.cell.axes})
    rows = [
        {
            "trial_key": one.trial.key,
            "cell_key": one.trial.cell.key,
            "suite": one.trial.cell.suite,
            "role": one.trial.cell.role,
            "task": one.trial.cell.tasks[0] if one.trial.cell.role == "stl" else None,
            "weighting": one.trial.cell.weighting_label,
            "optimizer": one.trial.cell.optimizer_label,
            "lr": one.trial.cell.learning_rate,
            "seed": one.trial.seed,
            "outcome": one.state.outcome.value,
            "cause": one.state.cause,
            "epochs": len(one.state.curve),
            **dict.fromkeys(axes),
            **one.trial.cell.axes,
        }
        for one in finished
    ]
    return pd.DataFrame(rows, columns=[*OUTCOMES.names, *axes]).sort_values("trial_key", ignore_index=True)


def write_outcomes(path: Path, outcomes: pd.DataFrame) -> None:
    """Write the table that `build_outcomes` makes."""
    write_table(path, outcomes, outcomes_schema(outcomes.columns[len(OUTCOMES.names) :]))


def read_outcomes(path: Path) -> pd.DataFrame:
    """Read the table that `build_outcomes` makes.

    Raises:
        UserError: the file is missing, is no Parquet file, or lacks a column.
    """
    return read_table(path, OUTCOMES.names, further=AXES)


def build_costs(finished: Iterable[FinishedTrial]) -> pd.DataFrame:
    """Return one row a trial: what it cost and where it ran."""
    rows = [
        {
            "trial_key": one.trial.key,
            "role": one.trial.cell.role,
            "seconds": one.execution.seconds,
            "started": pd.Timestamp(one.execution.started_at, unit="s").floor("ms"),
            "host": one.execution.host,
            "attempts": one.execution.attempts,
        }
        for one in finished
    ]
    return pd.DataFrame(rows, columns=COSTS.names).sort_values("trial_key", ignore_index=True)
