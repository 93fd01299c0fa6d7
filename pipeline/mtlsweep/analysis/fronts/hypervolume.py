"""How good a front is, and how certain that is: hypervolume, attainment over seeds, and dominance beyond seed noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtlsweep.analysis.fronts.pareto_set import comparable, costs, nondominated
from mtlsweep.analysis.objectives import Objective

_MARGIN = 0.1  # the reference point is this share of the range beyond the worst value of each objective
_EXACT_WORK = 1e8  # members ** (objectives / 2): what an exact hypervolume may cost, about half a second
_SAMPLES = 32768  # of the approximation beyond that; within 0.5 % on fronts of up to nine objectives


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
    """Return the frame of each optimizer's own front: a few very bad runs must not hide all differences."""
    member = np.zeros(len(points), dtype=bool)
    for name in set(optimizer):
        member[optimizer == name] = nondominated(points[optimizer == name])
    return frame_of(points[member])


def hypervolume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the volume that `points` (lower is better) dominate up to `reference`, and whether it is exact.

    Rows with a NaN are left out; rows that are not better than the reference everywhere add nothing;
    a member at minus infinity makes the volume infinite. Fronts too large for the exact algorithm of
    moocore (Fonseca, Paquete and Lopez-Ibanez 2006) use its quasi-Monte Carlo
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
            if member[len(front) :].any():  # measuring is slow, and late runs rarely change the front
                front = grown[member]
                volume = hypervolume(front, one)[0]
            rows.append((optimizer, int(stop), volume))
    return pd.DataFrame(rows, columns=["optimizer", "runs", "hypervolume"])
