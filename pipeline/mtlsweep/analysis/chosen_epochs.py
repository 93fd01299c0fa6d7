"""The epoch of each trial that counts: the one with the best validation figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pandas as pd

from mtlsweep.analysis.objectives import Objective
from mtlsweep.trials.metric_names import MetricName
from mtlsweep.trials.state import MEASURED

_METRIC = ["split", "task", "metric"]

MEASURED_OUTCOMES = tuple(outcome.value for outcome in MEASURED)


def at_epochs(curves: pd.DataFrame, names: Sequence[MetricName]) -> pd.DataFrame:
    """Spread long curves into one row per (trial_key, epoch), one column per metric (`MetricName.column`).

    Epochs at which none of them was recorded do not appear.
    """
    wanted = pd.DataFrame([astuple(name) for name in names], columns=_METRIC).assign(column=range(len(names)))
    rows = curves.merge(wanted, on=_METRIC)
    pairs = pd.MultiIndex.from_arrays([rows["trial_key"].astype(str), rows["epoch"]])
    codes, index = pairs.factorize(sort=True) if len(pairs) else ([], [])  # pandas 2 cannot sort an empty index
    grid = np.full((len(index), len(names)), np.nan)
    grid[codes, rows["column"]] = rows["value"]
    index = pd.MultiIndex.from_tuples(list(index), names=["trial_key", "epoch"])
    return pd.DataFrame(grid, index=index, columns=[name.column for name in names])


def best_epochs(epochs: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """Return, per trial, the row of its lowest `criterion` (the earliest of several), with `best_epoch`.

    Trials whose criterion is finite at no epoch do not appear.
    """
    finite = epochs[np.isfinite(epochs[criterion])].sort_index()
    chosen = finite.loc[finite.groupby(level="trial_key")[criterion].idxmin()]
    return chosen.reset_index().rename(columns={"epoch": "best_epoch"}).set_index("trial_key")


def attach(outcomes: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Join measured rows (by trial_key) to the outcomes; diverged and failed trials keep empty figures."""
    trials = outcomes.astype({"trial_key": str}).sort_values("trial_key", ignore_index=True)
    has_result = trials["outcome"].isin(MEASURED_OUTCOMES)
    figures = measured.reindex(trials["trial_key"].where(has_result)).reset_index(drop=True)
    return pd.concat([trials, figures], axis=1)


def measured_on(frame: pd.DataFrame, split: str, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return the columns of the objectives on `val` or `test`, called by `Objective.name`."""
    columns = frame[[objective.of(split).column for objective in objectives]]
    return columns.set_axis([objective.name for objective in objectives], axis="columns")
