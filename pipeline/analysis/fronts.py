"""How good a front is, and how sure: hypervolume, attainment over seeds, and dominance beyond seed noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.analysis.objectives import Objective, counted
from pipeline.analysis.pareto import comparable, costs, dominated_by, nondominated

_MARGIN = 0.1  # the reference point lies this share of the range beyond the worst value of each objective
_EXACT_WORK = 1e8  # members ** (objectives / 2): what an exact hypervolume may cost, about half a second
_SAMPLES = 32768  # of the approximation beyond that; within 0.5 % on fronts of up to nine objectives
_MOST_AXES = 4  # pairs of at most this many objectives are drawn and compared by attainment
_MOST_SEEDS = 30  # more attempts make no visible difference and grow the rectangles with their square
LEVELS = ("any seed", "half of the seeds", "every seed")
TOLERANCES = (0.0, 1.0, 2.0)


@dataclass(frozen=True)
class Frame:
    """What hypervolumes are measured in: each objective from 0 at `ideal` to 1 at `reference` (lower is better)."""

    ideal: NDArray[np.float64]
    reference: NDArray[np.float64]

    def scaled(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `points` in units of the frame."""
        return (points - self.ideal) / (self.reference - self.ideal)


def frame_of(points: NDArray[np.float64]) -> Frame:
    """Return the frame of `points`: best and worst finite value of each objective, the worst with a margin."""
    finite = np.where(np.isfinite(points), points, np.nan)
    best = np.nanmin(finite, axis=0)
    extent = np.nanmax(finite, axis=0) - best
    extent = np.where(extent > 0, extent, np.maximum(np.abs(best), 1.0))
    return Frame(best, best + (1 + _MARGIN) * extent)


def _frame_of_fronts(points: NDArray[np.float64], optimizer: NDArray[np.object_]) -> Frame:
    """Return the frame of each optimizer's own front: a few runs gone astray must not flatten all differences."""
    member = np.zeros(len(points), dtype=bool)
    for name in set(optimizer):
        member[optimizer == name] = nondominated(points[optimizer == name])
    return frame_of(points[member])


def hypervolume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the volume that `points` (lower is better) dominate up to `reference`, and whether it is exact.

    Rows with a NaN are left out; rows that are not better than the reference everywhere add nothing;
    a member at minus infinity makes the volume infinite. Fronts too large for the exact algorithm of
    moocore (Fonseca, Paquete and Lopez-Ibanez 2006) are measured by its quasi-Monte Carlo
    approximation (Deng and Zhang 2019), which is deterministic.
    """
    inside = points[comparable(points) & (points < reference).all(axis=1)]
    if len(inside) == 0:
        return 0.0, True
    if np.isinf(inside).any():
        return float("inf"), True
    front = np.unique(inside[nondominated(inside)], axis=0)
    if len(front) ** (points.shape[1] / 2) <= _EXACT_WORK:
        return float(moocore.hypervolume(front, ref=reference)), True
    return float(moocore.hv_approx(front, ref=reference, nsamples=_SAMPLES, method="DZ2019-HW")), False


def hypervolume_shares(runs: pd.DataFrame, objectives: Sequence[Objective]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the hypervolume of all runs, of each optimizer and of each weighting, and the recorded reference point.

    Returns:
        (group, name, runs, hypervolume, exact): hypervolume as a share of the box between the ideal
        and the reference point; and (objective, ideal, reference) in the metrics' own units.
    """
    points = costs(runs, objectives)
    groups = [("all", "all", np.ones(len(runs), dtype=bool))]
    for by in ("optimizer", "weighting"):
        groups += [(by, name, (runs[by] == name).to_numpy()) for name in sorted(runs[by].unique())]
    if not np.isfinite(points).any(axis=0).all():
        shares = [(group, name, int(rows.sum()), np.nan, True) for group, name, rows in groups]
        frame = Frame(np.full(len(objectives), np.nan), np.full(len(objectives), np.nan))
    else:
        frame = _frame_of_fronts(points, runs["optimizer"].to_numpy(dtype=object))
        scaled = frame.scaled(points)
        one = np.ones(len(objectives))
        shares = [(group, name, int(rows.sum()), *hypervolume(scaled[rows], one)) for group, name, rows in groups]
    signs = np.array([-1.0 if objective.higher_is_better else 1.0 for objective in objectives])
    names = [objective.name for objective in objectives]
    reference = pd.DataFrame({"objective": names, "ideal": signs * frame.ideal, "reference": signs * frame.reference})
    return pd.DataFrame(shares, columns=["group", "name", "runs", "hypervolume", "exact"]), reference


def hypervolume_growth(runs: pd.DataFrame, objectives: Sequence[Objective], steps: int = 40) -> pd.DataFrame:
    """Return how each optimizer's hypervolume grew over its runs in the order given.

    Returns:
        (optimizer, runs, hypervolume) at up to `steps` evenly spaced numbers of runs.
    """
    points = costs(runs, objectives)
    points = _frame_of_fronts(points, runs["optimizer"].to_numpy(dtype=object)).scaled(points)
    one = np.ones(len(objectives))
    rows = []
    for optimizer in sorted(runs["optimizer"].unique()):
        own = points[(runs["optimizer"] == optimizer).to_numpy()]
        front, volume = own[:0], 0.0
        stops = np.unique(np.linspace(1, len(own), min(steps, len(own))).astype(int))
        for start, stop in zip([0, *stops[:-1]], stops, strict=True):
            grown = np.concatenate([front, own[start:stop]])
            member = nondominated(grown)
            if member[len(front) :].any():  # measuring is dear, and late runs seldom change the front
                front = grown[member]
                volume = hypervolume(front, one)[0]
            rows.append((optimizer, int(stop), volume))
    return pd.DataFrame(rows, columns=["optimizer", "runs", "hypervolume"])


def axis_pairs(objectives: Sequence[Objective]) -> list[tuple[Objective, Objective]]:
    """Return the pairs that are worth a picture: the first counted metric of each of the first tasks."""
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
                continue  # no difference anywhere, which eafdiff cannot say
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


def seed_noise(selected: pd.DataFrame, objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Return per objective the standard deviation over seeds, pooled over the selected cells (NaN without replicates)."""
    columns = [f"test_{objective.name}" for objective in objectives]
    return np.sqrt(selected.groupby("cell_key")[columns].var(ddof=1).mean().to_numpy(dtype=float))


def count_beyond_noise(runs: pd.DataFrame, noise: NDArray[np.float64], objectives: Sequence[Objective]) -> pd.DataFrame:
    """Count additively epsilon-nondominated runs: those that no run beats by more than the tolerance everywhere.

    Args:
        noise: one standard deviation over seeds per objective; tolerances are multiples of it.

    Returns:
        (tolerance, optimizer, runs, pareto_full); tolerance 0 is the plain Pareto count. Only
        tolerance 0 appears when the noise is unknown.
    """
    points = costs(runs, objectives)
    usable = comparable(points)
    optimizer = runs["optimizer"].to_numpy(dtype=object)
    rows = []
    for tolerance in TOLERANCES if np.isfinite(noise).all() else TOLERANCES[:1]:
        shifted = points - tolerance * noise if tolerance else points
        member = usable & ~dominated_by(shifted, points)
        for name in sorted(set(optimizer)):
            rows.append((tolerance, name, int((optimizer == name).sum()), int(member[optimizer == name].sum())))
    return pd.DataFrame(rows, columns=["tolerance", "optimizer", "runs", "pareto_full"])
