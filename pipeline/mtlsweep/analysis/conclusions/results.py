"""The table of results as papers print it, and how trials ended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtlsweep.analysis.conclusions.statistics import mean_interval
from mtlsweep.analysis.delta_m import delta_m_columns
from mtlsweep.analysis.objectives import Objective
from mtlsweep.analysis.selection import METHOD, axis_columns
from mtlsweep.trials.metric_names import OWN_DELTA_M, column_of

OUTCOME_NAMES = ("done", "diverged", "pruned", "failed")


def results_by_cell(trials: pd.DataFrame, selected: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return a row per selected cell, best validation Delta_m first, then the methods that have none.

    Columns: weighting, optimizer, lr, cell_key, seeds, tried_lrs, `val_delta_m_mean`, then of each test
    figure (`test_delta_m`, its task mean, each task's, `test_own_delta_m` where it exists, each metric) `_mean`, `_std` (sample), `_low`
    and `_high` (95 % interval of the mean) over seeds, and `interval`: how the interval was made. With tuned axes also
    their selected values, and tried_settings: how many cells the method tried.
    """
    own = [OWN_DELTA_M] if column_of("test", OWN_DELTA_M) in trials else []
    names = [*delta_m_columns(objectives), *own, *(objective.name for objective in objectives)]
    figures = [column_of("test", name) for name in names]
    statistics = ("mean", "std", "low", "high")
    columns = ["cell_key", "interval", *(f"{figure}_{statistic}" for figure in figures for statistic in statistics)]
    rows = []
    chosen = trials[trials["cell_key"].isin(selected["cell_key"])]
    for cell_key, replicates in chosen.groupby("cell_key", observed=True):
        values = replicates.sort_values("seed")[figures].to_numpy(dtype=float)
        low, high, interval = mean_interval(values)
        deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(figures), np.nan)
        rows.append([cell_key, interval, *np.column_stack([values.mean(axis=0), deviation, low, high]).ravel()])
    methods = trials.groupby(METHOD, as_index=False, observed=True).agg(tried_lrs=("lr", "nunique"))
    axes = axis_columns(selected)
    if axes:
        tried = trials.groupby(METHOD, observed=True)["cell_key"].nunique().rename("tried_settings")
        methods = methods.merge(tried, on=METHOD)
    counts = [name for name in methods if name not in METHOD]
    leading = [*METHOD, "lr", *axes, "cell_key", "seeds", *counts, "val_delta_m_mean"]
    table = methods.merge(selected.rename(columns={"mean": "val_delta_m_mean"}), on=METHOD, how="left")[leading]
    table = table.merge(pd.DataFrame(rows, columns=columns), on="cell_key", how="left")
    return table.astype({"seeds": "Int32"}).sort_values(["val_delta_m_mean", *METHOD, "lr"], ignore_index=True)


def count_outcomes(trials: pd.DataFrame) -> pd.DataFrame:
    """Return per weighting, optimizer and learning rate the number of trials with each outcome."""
    table = pd.crosstab([trials["weighting"], trials["optimizer"], trials["lr"]], trials["outcome"])
    return table.reindex(columns=list(OUTCOME_NAMES), fill_value=0).reset_index().rename_axis(columns=None)
