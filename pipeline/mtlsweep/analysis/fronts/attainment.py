"""Empirical attainment: what share of the seeds reaches each point of the objective space."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtlsweep.analysis.fronts.hypervolume import frame_of
from mtlsweep.analysis.fronts.pareto_set import comparable, costs
from mtlsweep.analysis.objectives import Objective, counted

_MOST_AXES = 4  # pairs of at most this many objectives are drawn and compared by attainment
_MOST_SEEDS = 30  # more seeds make no visible difference, and the number of rectangles grows with their square
LEVELS = ("any seed", "half of the seeds", "every seed")


def axis_pairs(objectives: Sequence[Objective]) -> list[tuple[Objective, Objective]]:
    """Return the pairs to draw: the first counted metric of each of the first tasks."""
    firsts = {objective.task: objective for objective in reversed(counted(objectives))}
    axes = [objective for objective in counted(objectives) if firsts[objective.task] is objective]
    return list(combinations(axes[:_MOST_AXES], 2))


def attainment(points: NDArray[np.float64], seeds: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the surfaces [points, 2] that at least one, half, and all seeds attain (lower is better).

    All runs of one seed together are one attempt at the front: a goal is attained by a seed when one
    of its runs is at least as good in both objectives (Grunert da Fonseca, Fonseca and Hall 2001).
    """
    usable = comparable(points)
    attempts = _by_seed(points[usable], seeds[usable])
    count = len(np.unique(attempts[:, 2]))
    if count == 0:
        return dict.fromkeys(LEVELS, attempts[:0, :2])
    shares = {"any seed": 100 / count, "half of the seeds": 100 * np.ceil(count / 2) / count, "every seed": 100.0}
    surface = moocore.eaf(attempts[:, :2], attempts[:, 2], percentiles=sorted(set(shares.values())))
    return {level: surface[np.isclose(surface[:, 2], share)][:, :2] for level, share in shares.items()}


def attainment_surfaces(runs: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return attainment surfaces per pair of objectives and optimizer, in the metrics' own units.

    Returns:
        (x, y, optimizer, level, x_value, y_value), sorted along each surface.
    """
    rows = []
    for x, y in axis_pairs(objectives):
        signs = [-1.0 if objective.higher_is_better else 1.0 for objective in (x, y)]
        for optimizer in sorted(runs["optimizer"].unique()):
            own = runs[runs["optimizer"] == optimizer]
            for level, surface in attainment(costs(own, [x, y]), own["seed"].to_numpy()).items():
                surface = surface[np.argsort(surface[:, 0], kind="stable")] * signs
                rows += [(x.name, y.name, optimizer, level, *map(float, point)) for point in surface]
    return pd.DataFrame(rows, columns=["x", "y", "optimizer", "level", "x_value", "y_value"])


def attainment_differences(runs: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return where one optimizer attains goals in more of its seeds than another.

    Returns:
        (x, y, optimizer_a, optimizer_b, x_from, x_to, y_from, y_to, difference): rectangles in the
        metrics' own units, clipped to the reference point, and the share of seeds of a minus that of b
        there, over the seeds both have (the first 30).
    """
    rows = []
    seeds, optimizer = runs["seed"].to_numpy(), runs["optimizer"].to_numpy(dtype=object)
    for x, y in axis_pairs(objectives):
        points = costs(runs, [x, y])
        usable = np.isfinite(points).all(axis=1)
        if not usable.any():
            continue
        frame, signs = frame_of(points), [-1.0 if objective.higher_is_better else 1.0 for objective in (x, y)]
        for a, b in combinations(sorted(set(optimizer)), 2):
            shared = np.intersect1d(seeds[usable & (optimizer == a)], seeds[usable & (optimizer == b)])
            if len(shared) == 0:
                continue
            shared = shared[:_MOST_SEEDS]
            in_both = usable & np.isin(seeds, shared)  # attempts are compared seed by seed
            sides = [
                _by_seed(points[in_both & (optimizer == side)], seeds[in_both & (optimizer == side)]) for side in (a, b)
            ]
            if np.array_equal(*(moocore.eaf(side[:, :2], side[:, 2]) for side in sides)):
                continue  # no difference anywhere, which eafdiff cannot express
            rectangles = np.asarray(moocore.eafdiff(*sides, rectangles=True))
            for x0, y0, x1, y1, difference in rectangles[rectangles[:, 4] != 0]:
                low = np.maximum([x0, y0], frame.ideal) * signs
                high = np.minimum([x1, y1], frame.reference) * signs
                rows.append((x.name, y.name, a, b, low[0], high[0], low[1], high[1], difference / len(shared)))
    columns = ["x", "y", "optimizer_a", "optimizer_b", "x_from", "x_to", "y_from", "y_to", "difference"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[4:], float))


def _by_seed(points: NDArray[np.float64], seeds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Append the seed's number, from 1, and sort by it, as moocore takes sets of points."""
    numbers = np.unique(seeds, return_inverse=True)[1] + 1
    return np.column_stack([points, numbers])[np.argsort(numbers, kind="stable")]
