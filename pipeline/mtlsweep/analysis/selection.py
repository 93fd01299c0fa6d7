"""Late selection: which epoch represents a trial, which trials are the baseline, which learning rate represents a method.

Every choice here is made on validation figures. Test figures are read for what was chosen and
never compared: `select_learning_rates` does not even get them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtlsweep.analysis.chosen_epochs import MEASURED_OUTCOMES
from mtlsweep.params.suite import AXES

METHOD = ["weighting", "optimizer"]

ORDER = ("mean", "lr", "cell_key")
"""What cells of a method are ordered by; the first is selected. A race gives seeds by the same order."""


def axis_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns that hold values of axes, as text."""
    return [str(column) for column in table.columns if str(column).startswith(AXES)]


def without_compared(labels: pd.Series) -> pd.Series:
    """Return labels without compared values of axes: what single-task training calls an optimizer."""
    return labels.astype(str).str.split(" [", n=1, regex=False).str[0]


def tuned_axes(trials: pd.DataFrame) -> list[str]:
    """Return the axes of which a method tries several values; compared values are in the names of methods."""
    return [axis for axis in axis_columns(trials) if (trials.groupby(METHOD)[axis].nunique() > 1).any()]


def best_at_each_rate(trials: pd.DataFrame) -> pd.DataFrame:
    """Return of each method and learning rate the trials of the cell with the lowest mean validation Delta_m.

    With tuned axes several cells have one learning rate.
    """
    if not tuned_axes(trials):
        return trials
    cells = trials.groupby([*METHOD, "lr", "cell_key"], as_index=False, observed=True)["val_delta_m"].mean()
    best = cells.sort_values([*METHOD, "lr", "val_delta_m", "cell_key"]).drop_duplicates([*METHOD, "lr"])
    return trials[trials["cell_key"].isin(best["cell_key"])]


def rank_cells(trials: pd.DataFrame, by: list[str], criterion: str) -> pd.DataFrame:
    """Return the cells that have a result, best mean `criterion` first within `by` (ties: lower learning rate).

    A cell has none when one of its replicates diverged or failed, or was finite at no epoch.

    Args:
        trials: a row per trial with cell_key, lr, seed, outcome and the columns `by`.
        by: the columns within which cells compete.
        criterion: name of the column to compare; lower is better.

    Returns:
        Columns `by`, cell_key, lr, `seeds` (number of replicates), `mean`, `done`: whether all replicates are
        done, so that none was cut, and the columns of axes that `trials` has.
    """
    measured = trials["outcome"].isin(MEASURED_OUTCOMES) & np.isfinite(trials[criterion].astype(float))
    cells = (
        trials.assign(measured=measured, done=trials["outcome"] == "done")
        .groupby([*by, "cell_key"], as_index=False, observed=True)
        .agg(
            lr=("lr", "first"),
            seeds=("seed", "size"),
            mean=(criterion, "mean"),
            measured=("measured", "all"),
            done=("done", "all"),
            **{axis: (axis, "first") for axis in axis_columns(trials)},
        )
    )
    cells = cells[cells["measured"]].drop(columns="measured")
    return cells.sort_values([*by, *ORDER], ignore_index=True)


def eligible_cells(trials: pd.DataFrame, by: list[str], criterion: str) -> pd.DataFrame:
    """Return the cells of `rank_cells` that are done with every seed that any of `trials` has, best mean first.

    A race trains some cells with its first seed only. Their means are not compared with means over all seeds:
    the best of many single figures is low by luck.
    """
    cells = rank_cells(trials, by, criterion)
    complete = cells["done"] & (cells["seeds"] == trials["seed"].nunique())
    return cells[complete].drop(columns="done").reset_index(drop=True)


def select_learning_rates(trials: pd.DataFrame) -> pd.DataFrame:
    """Return per method the eligible cell with the lowest mean validation Delta_m (ties: lower learning rate).

    So the learning rate is chosen, and with it the value of each tuned axis.

    Args:
        trials: multi-task trials; only identity, outcome and `val_delta_m` are read.

    Returns:
        Columns weighting, optimizer, cell_key, lr, seeds, mean, and the tuned axes; methods without an eligible cell do
        not appear.
    """
    visible = trials[[*METHOD, "cell_key", "lr", *tuned_axes(trials), "seed", "outcome", "val_delta_m"]]
    return eligible_cells(visible, METHOD, "val_delta_m").drop_duplicates(METHOD)
