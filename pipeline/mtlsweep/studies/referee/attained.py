"""Whether fixed weights attain what a weighting attains, with an interval that holds for few seeds.

The *lead* of a weighting is the lowest number x such that some fixed weights, at their selected learning rate, are at most x
points worse than it in every task: min over fixed weights f of max over tasks t of d_ft, with d_ft the Delta_m of task t under
f minus that under the weighting. At 0 the weighting lies on the attainment surface of the fixed weights, above it outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mtlsweep.analysis.moderated_variances import with_fitted_prior

Array = NDArray[np.float64]

ERROR = 0.025
"""How often a bound is wrong with normal noise; the two make an interval of 95 %. Half of what a verdict may be wrong, for skewed noise."""

INSIDE, OUTSIDE, UNDECIDED = "inside", "outside", "undecided"


@dataclass(frozen=True)
class Leads:
    """Leads of weightings, in points of Delta_m, all [..., W].

    Attributes:
        lead: the estimate.
        low, high: bounds, each wrong in at most `ERROR` of all studies; infinite with a single seed.
        nearest: which fixed weights come nearest to attaining it.
    """

    lead: Array
    low: Array
    high: Array
    nearest: NDArray[np.int64]

    def verdicts(self, margin: float) -> NDArray[np.str_]:
        """Return a verdict for each weighting: does its lead exceed `margin`?"""
        return np.where(self.low > margin, OUTSIDE, np.where(self.high <= margin, INSIDE, UNDECIDED))


def leads(
    weightings: Array, fixed: Array, weightings_search: Array | float = 0.0, fixed_search: Array | float = 0.0
) -> Leads:
    """Return the leads of W weightings over F fixed weights, from S seeds and T tasks.

    The bounds are min over f of max over t of d_ft minus or plus c standard errors. *Low*: the fixed weights that are nearest in truth
    exceed it only if one of their T bounds fails, so c is Student's quantile at 1 - ERROR / T. *High*: it is too low only if, for
    some f, the bound of the task in which f is worst fails, so c is the quantile at 1 - ERROR / F.

    Args:
        weightings: [..., W, S, T], Delta_m of each task with each seed. fixed: [..., F, S, T].
        weightings_search: [..., W, T], what the search adds to the variance of their means. fixed_search: [..., F, T].
    """
    differences = fixed[..., None, :, :, :] - weightings[..., :, None, :, :]  # [..., W, F, S, T]
    seeds, tasks = differences.shape[-2:]
    mean = differences.mean(axis=-2)
    worst = mean.max(axis=-1)
    lead, nearest = worst.min(axis=-1), worst.argmin(axis=-1)
    if seeds < 2:
        unknown = np.full(lead.shape, np.inf)
        return Leads(lead, -unknown, unknown, nearest)
    count, others = differences.shape[-4:-2]
    by_task = np.moveaxis(differences.var(axis=-2, ddof=1), -1, -3)  # [..., T, W, F]
    independent = 4 / (
        1 / count + 1 / others + 2 / (count * others)
    )  # W F differences share the noise of W + F methods
    flat, freedom = with_fitted_prior(by_task.reshape(*by_task.shape[:-2], -1), seeds - 1, independent)
    variance, degrees = (np.moveaxis(each.reshape(by_task.shape), -3, -1) for each in (flat, freedom))
    search = np.asarray(weightings_search)[..., :, None, :] if np.ndim(weightings_search) else weightings_search
    search = search + (np.asarray(fixed_search)[..., None, :, :] if np.ndim(fixed_search) else fixed_search)
    error = np.sqrt(variance / seeds + search)
    low = (mean - stats.t.ppf(1 - ERROR / tasks, degrees) * error).max(axis=-1).min(axis=-1)
    high = (mean + stats.t.ppf(1 - ERROR / others, degrees) * error).max(axis=-1).min(axis=-1)
    return Leads(lead, low, high, nearest)
