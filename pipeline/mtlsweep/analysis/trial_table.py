"""One row per trial, at its chosen epoch, with Delta_m."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.chosen_epochs import at_epochs, attach, best_epochs, measured_on
from mtlsweep.analysis.delta_m import delta_m, delta_m_columns
from mtlsweep.analysis.objectives import Objective
from mtlsweep.analysis.selection import axis_columns, without_compared
from mtlsweep.trials.metric_names import DELTA_M, OWN_DELTA_M, column_of

VAL_DELTA_M = column_of("val", DELTA_M)


def measure_trials(
    curves: pd.DataFrame, outcomes: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]
) -> pd.DataFrame:
    """Return the multi-task trials, each at its epoch of lowest validation Delta_m, with all Delta_m."""
    epochs = at_epochs(curves, [objective.of(split) for split in ("val", "test") for objective in objectives])
    return attach(outcomes, best_by_delta_m(epochs, baselines.values["val"], objectives).drop(columns=VAL_DELTA_M))


def best_by_delta_m(
    epochs: pd.DataFrame, validation: Mapping[str, float], objectives: Sequence[Objective]
) -> pd.DataFrame:
    """Return, per trial, the row of its lowest validation Delta_m, which is `val_delta_m`, with `best_epoch`.

    Args:
        epochs: a row per (trial_key, epoch), a column per metric (`MetricName.column`), those of validation at least.
        validation: the baseline of each objective on validation data.
        objectives: every metric of every task.
    """
    compared = delta_m(measured_on(epochs, "val", objectives), validation, objectives)[DELTA_M]
    return best_epochs(epochs.assign(**{VAL_DELTA_M: compared}), VAL_DELTA_M)


def with_own_delta_m(trials: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Append `val_own_delta_m` and `test_own_delta_m`, where single-task training was run with several optimizers.

    They compare with single-task training with the trial's own optimizer, and are empty where there is none.
    """
    if not baselines.by_optimizer:
        return trials
    own = without_compared(trials["optimizer"])
    trials = trials.copy()
    for split in ("val", "test"):
        values = measured_on(trials, split, objectives)
        column = column_of(split, OWN_DELTA_M)
        trials[column] = np.nan
        for optimizer, reference in baselines.by_optimizer.items():
            rows = own == optimizer
            trials.loc[rows, column] = delta_m(values[rows], reference.values[split], objectives)[DELTA_M]
    return trials


def with_delta_m(trials: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Append `val_delta_m*` and `test_delta_m*` to trials at their chosen epochs."""
    parts = [
        delta_m(measured_on(trials, split, objectives), baselines.values[split], objectives).rename(
            columns=partial(column_of, split)
        )
        for split in ("val", "test")
    ]
    return pd.concat([trials, *parts], axis=1)


IDENTITY = ["trial_key", "cell_key", "suite", "role", "task", "weighting", "optimizer", "lr", "seed", "outcome"]


def trial_table(trials: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return one row per trial: what it is, its values of axes, how it ended, and its figures at its chosen epoch."""
    names = [*(objective.name for objective in objectives), *delta_m_columns(objectives)]
    figures = [column_of(split, name) for split in ("val", "test") for name in names]
    figures += [column for split in ("val", "test") if (column := column_of(split, OWN_DELTA_M)) in trials]
    table = trials[[*IDENTITY, *axis_columns(trials), "best_epoch", *figures]].astype({"best_epoch": "Int32"})
    return table.sort_values("trial_key", ignore_index=True)
