"""How each trial ended, and what it cost, as tables."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from mtlsweep.record.tables.schema import COSTS, OUTCOMES
from mtlsweep.trials.state import FinishedTrial


def build_outcomes(finished: Iterable[FinishedTrial]) -> pd.DataFrame:
    """Return one row a trial: what it was and how it ended."""
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
        }
        for one in finished
    ]
    return pd.DataFrame(rows, columns=OUTCOMES.names).sort_values("trial_key", ignore_index=True)


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
