"""Pareto sets over every metric: the runs that no other run dominates; exact, and fast up to 100,000 runs.

A run *dominates* another when it is at least as good on every objective and better on one; equal
runs do not dominate each other, so duplicates of a Pareto-optimal run are all counted. Runs with a
NaN anywhere cannot be compared: they are left out, and counted. Infinities are compared as usual.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtlsweep.analysis.objectives import Objective

_BLOCK = 4096  # members of a front per bit table: 4096 x 512 bytes stay in cache


def costs(runs: pd.DataFrame, objectives: Sequence[Objective], split: str = "test") -> NDArray[np.float64]:
    """Return the value of every objective and run on a split as an array [runs, objectives] in which lower is better."""
    signs = np.array([-1.0 if objective.higher_is_better else 1.0 for objective in objectives])
    return runs[[objective.of(split).column for objective in objectives]].to_numpy(dtype=float) * signs


def comparable(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows hold no NaN."""
    return np.logical_not(np.isnan(points).any(axis=1))


def nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows of `points` [runs, objectives], lower is better, no other row dominates.

    Rows with a NaN are never members and dominate nothing.
    """
    member = comparable(points)
    if member.any():
        member[member] = moocore.is_nondominated(_ranked_if_infinite(points[member]), keep_weakly=True)
    return member


def _ranked_if_infinite(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace values by their ranks where one is infinite: moocore uses infinity as a special value."""
    if np.isfinite(points).all():
        return points
    return np.column_stack([np.unique(column, return_inverse=True)[1] for column in points.T]).astype(float)


def dominated_by(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows of `points` at least one row of `others` dominates.

    Only the front of `others` matters. Per objective, the members that are at least as good as a
    value form a prefix of the sorted front; prefixes are kept as bit sets, and a run is dominated
    when the intersection of its prefixes is not empty: |points| x |front| / 8 bytes per objective
    instead of as many comparisons. A run equal to a member of the front is not dominated, because
    a run that dominates it would dominate that member too.
    """
    front = np.unique(others[nondominated(others)], axis=0)
    dominated = np.zeros(len(points), dtype=bool)
    undecided = np.flatnonzero(comparable(points) & ~_rows_in(points, front))
    for start in range(0, len(front), _BLOCK):
        block = front[start : start + _BLOCK]
        beaten = _weakly_dominated(points[undecided], block)
        dominated[undecided[beaten]] = True
        undecided = undecided[~beaten]
    return dominated


def _weakly_dominated(points: NDArray[np.float64], block: NDArray[np.float64]) -> NDArray[np.bool_]:
    sorted_columns = [_prefix_bits(block[:, k]) for k in range(block.shape[1])]
    beaten = np.zeros(len(points), dtype=bool)
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        common = None
        for k, (values, bits) in enumerate(sorted_columns):
            at_least_as_good = bits[np.searchsorted(values, points[rows, k], side="right")]
            common = at_least_as_good if common is None else common & at_least_as_good
        if common is not None:
            beaten[rows] = common.any(axis=1)
    return beaten


def _prefix_bits(column: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
    """Return the sorted column, and for each length the bit set of the members in that prefix."""
    order = np.argsort(column, kind="stable")
    words = np.zeros((len(column) + 1, -(-len(column) // 64)), dtype=np.uint64)
    words[np.arange(1, len(column) + 1), order // 64] = np.uint64(1) << (order % 64).astype(np.uint64)
    return column[order], np.bitwise_or.accumulate(words, axis=0)


def _rows_in(points: NDArray[np.float64], front: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows of `points` are also in `front` (-0.0 equals 0.0)."""
    members = {row.tobytes() for row in front + 0.0}
    return np.fromiter((row.tobytes() in members for row in np.ascontiguousarray(points + 0.0)), bool, len(points))
