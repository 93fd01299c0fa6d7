"""One row per trial, at its chosen epoch, with Delta_m."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.chosen_epochs import at_epochs, attach, best_epochs, columns_of_split
from mtlsweep.analysis.delta_m import delta_m, delta_m_columns
from mtlsweep.analysis.objectives import Objective


def measure_trials(
    curves: pd.DataFrame, outcomes: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]
) -> pd.DataFrame:
    """Return the multi-task trials, each at its epoch of lowest validation Delta_m, with all Delta_m."""
    columns = [(split, objective.task, objective.metric) for split in ("val", "test") for objective in objectives]
    epochs = at_epochs(curves, columns)
    validation = delta_m(columns_of_split(epochs, "val"), baselines.values["val"], objectives)
    chosen = best_epochs(epochs.assign(criterion=validation["delta_m"]), "criterion").drop(columns="criterion")
    return attach(outcomes, chosen)


def with_delta_m(trials: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Append `val_delta_m*` and `test_delta_m*` to trials at their chosen epochs."""
    parts = [
        delta_m(columns_of_split(trials, split), baselines.values[split], objectives).add_prefix(f"{split}_")
        for split in ("val", "test")
    ]
    return pd.concat([trials, *parts], axis=1)


IDENTITY = ["trial_key", "cell_key", "suite", "role", "task", "weighting", "optimizer", "lr", "seed", "outcome"]


def trial_table(trials: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return one row per trial: what it is, how it ended, and its figures at its chosen epoch."""
    names = [*(objective.name for objective in objectives), *delta_m_columns(objectives)]
    figures = [f"{split}_{name}" for split in ("val", "test") for name in names]
    table = trials[[*IDENTITY, "best_epoch", *figures]].astype({"best_epoch": "Int32"})
    return table.sort_values("trial_key", ignore_index=True)
