"""Rungs: the epochs at which trials are compared and pruned."""

from __future__ import annotations

import math
from typing import Annotated

import moocore
import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class Asha(BaseModel):
    """Rungs at `first` x `eta`^k of the epochs; one trial in `eta` continues at each rung."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    first: Annotated[float, Field(gt=0, lt=1)] = 0.25
    eta: Annotated[int, Field(ge=2)] = 3

    def rungs(self, epochs: int) -> list[int]:
        """Return the rungs in epochs, without the last epoch."""
        rungs: list[int] = []
        share = self.first
        while (rung := epoch_at(share, epochs)) < epochs:
            rungs.append(rung)
            share *= self.eta
        return rungs


def order_by_rank(points: np.ndarray) -> list[int]:
    """Return the positions of points [N, K] (lower is better): by non-dominated rank, then by hypervolume contribution.

    The contribution is computed within a rank; the reference point is one tenth of the range beyond the
    worst values. Remaining ties keep their order.
    """
    if len(points) == 0:
        return []
    spread = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    ranks = moocore.pareto_rank(scaled)
    contribution = np.zeros(len(points))
    for rank in np.unique(ranks):
        of_rank = np.flatnonzero(ranks == rank)
        contribution[of_rank] = moocore.hv_contributions(scaled[of_rank], ref=np.full(points.shape[1], 1.1))
    return sorted(range(len(points)), key=lambda position: (ranks[position], -contribution[position], position))


def epoch_at(share: float, epochs: int) -> int:
    """Return the first epoch that completes a share of all epochs, robust to rounding (0.1 of 30 is 3)."""
    return max(1, math.ceil(round(share * epochs, 9)))
