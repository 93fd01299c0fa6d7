"""How many runs of each optimizer and weighting lie on the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pandas as pd

from mtlsweep.analysis.fronts.pareto_set import comparable, costs, dominated_by, nondominated
from mtlsweep.analysis.objectives import Objective


def pareto_members(runs: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Mark every run that has a result.

    Returns:
        trial_key, weighting, optimizer, `comparable` (no NaN), `full` (dominated by no run) and
        `wrt_<optimizer>` (dominated by no run of that other optimizer; False for its own runs).
    """
    points = costs(runs, objectives)
    members = runs[["trial_key", "weighting", "optimizer"]].reset_index(drop=True)
    members["comparable"] = comparable(points)
    members["full"] = nondominated(points)
    optimizer = members["optimizer"].to_numpy(dtype=object)
    for other in sorted(set(optimizer)):
        mine = np.flatnonzero((optimizer != other) & members["comparable"].to_numpy())
        undominated = np.zeros(len(runs), dtype=bool)
        undominated[mine] = ~dominated_by(points[mine], points[optimizer == other])
        members[f"wrt_{other}"] = undominated
    return members


def count_by_optimizer(members: pd.DataFrame) -> pd.DataFrame:
    """Return per optimizer: runs, not_comparable, pareto_full, and pareto_wrt_<other> for each other optimizer."""
    optimizers = sorted(members["optimizer"].unique())
    counts = _counts(members, "optimizer")
    for mine, other in permutations(optimizers, 2):
        undominated = members.loc[members["optimizer"] == mine, f"wrt_{other}"].sum()
        counts.loc[counts["optimizer"] == mine, f"pareto_wrt_{other}"] = float(undominated)
    return counts


def count_by_weighting(members: pd.DataFrame) -> pd.DataFrame:
    """Return per weighting: runs, not_comparable, pareto_full."""
    return _counts(members, "weighting")


def _counts(members: pd.DataFrame, by: str) -> pd.DataFrame:
    grouped = members.groupby(by, observed=True)
    counts = grouped.agg(runs=("trial_key", "size"), comparable=("comparable", "sum"), pareto_full=("full", "sum"))
    counts.insert(1, "not_comparable", counts["runs"] - counts.pop("comparable"))
    return counts.reset_index()
