"""How many seeds would decide the comparisons that are open: the power of the paired test, from the noise and the differences seen.

A few seeds do not show the true difference. Open comparisons are those whose differences came out small, and differences that
came out large are partly large by luck. So power is averaged over what the true difference may be after the seeds at hand
(predictive power, Spiegelhalter et al. 1986). The spread of true differences in the family is its prior. Power is also averaged
over what the noise may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from mtlsweep.analysis.conclusions.statistics import FEWEST_SEEDS, LEVEL
from mtlsweep.analysis.moderated_variances import with_fixed_prior

Floats = NDArray[np.float64]

POWER = 0.8
MOST_SEEDS = 30
"""Nobody trains more; a comparison that needs more stays open."""

_VARIANCES = 5  # so many equally probable values of the noise, over which power is averaged

SETTLES = "seeds_to_settle"
BY_SEED = ("optimizer", "weighting")
"""The questions whose tests pair by seed; more seeds do not make more weightings."""


@dataclass(frozen=True)
class Settling:
    """The open comparisons of a suite.

    Attributes:
        decided, open: how many comparisons paired by seed are significant after Holm, and how many are not.
        seeds: the largest number of seeds that one of them has.
        steps: number of seeds -> how many of the open ones are decided with at most as many, each with power 0.8.
    """

    decided: int
    open: int
    seeds: int
    steps: dict[int, int]


def settling_steps(comparisons: pd.DataFrame) -> Settling:
    """Count what further seeds would decide.

    Args:
        comparisons: of one suite, as `with_seeds_to_settle` returns them.
    """
    paired = comparisons[comparisons["question"].isin(BY_SEED) & (comparisons["pairs"] > 0)]
    decided = paired["p_holm"] < 1 - LEVEL
    needed = np.sort(paired.loc[~decided, SETTLES].dropna().to_numpy(dtype=int))
    steps = {int(number): int(np.searchsorted(needed, number, "right")) for number in np.unique(needed)}
    return Settling(int(decided.sum()), int((~decided).sum()), int(paired["pairs"].max()) if len(paired) else 0, steps)


def with_seeds_to_settle(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Append `seeds_to_settle`: the number of seeds at which an open comparison is decided with power 0.8.

    It is empty for what is decided, for what no number of seeds up to 30 decides, and where the noise is unknown.

    Args:
        comparisons: of one suite: question, pairs, difference, deviation, p_holm.
    """
    settles = pd.Series(np.nan, index=comparisons.index)
    for question in BY_SEED:
        family = comparisons[(comparisons["question"] == question) & (comparisons["pairs"] > 1)]
        family = family[family["deviation"] > 0]
        if len(family):
            decided = (family["p_holm"] < 1 - LEVEL).to_numpy()
            difference, deviation, pairs = (
                family[name].to_numpy(float) for name in ("difference", "deviation", "pairs")
            )
            needed = seeds_needed(difference, deviation, pairs, decided)
            settles[family.index] = np.where(decided, np.nan, needed)
    return comparisons.assign(**{SETTLES: settles})


def seeds_needed(difference: Floats, deviation: Floats, pairs: Floats, decided: NDArray[np.bool_]) -> Floats:
    """Return for each comparison of a family the least number of seeds with a predictive power of 0.8, NaN if none up to 30.

    Args:
        difference, deviation, pairs: mean, standard deviation and number of the paired differences.
        decided: whether Holm's correction found it; those come first in the order of his steps.
    """
    variance, degrees = with_fixed_prior(deviation**2, pairs - 1)
    spread = max(float(np.mean(difference**2 - variance / pairs)), 0.0)  # of the true differences
    level = _levels(np.abs(difference) / np.sqrt(variance), decided)
    seeds = np.arange(FEWEST_SEEDS, MOST_SEEDS + 1)[:, None]
    power = np.zeros((len(seeds), len(difference)))
    for share in (np.arange(_VARIANCES) + 0.5) / _VARIANCES:
        possible = variance * degrees / stats.chi2.ppf(share, degrees)
        power += _power(seeds, difference, possible, pairs, spread, level) / _VARIANCES
    enough = (power >= POWER) & (seeds > pairs)
    return np.where(enough.any(axis=0), seeds[np.argmax(enough, axis=0), 0], np.nan)


def _levels(sizes: Floats, decided: NDArray[np.bool_]) -> Floats:
    """Return the level at which Holm's procedure tests each comparison when it has rejected all that are larger."""
    order = np.lexsort((-sizes, ~decided))
    steps = np.empty(len(sizes))
    steps[order] = np.arange(len(sizes), 0, -1)
    return (1 - LEVEL) / steps


def _power(
    seeds: NDArray[np.int_], difference: Floats, variance: Floats, pairs: Floats, spread: float, level: Floats
) -> Floats:
    """Return the probability that the paired t test of all seeds, those at hand included, finds the difference that is seen.

    The true difference given the one seen is normal with mean k d and variance k s^2 / n, k = T^2 / (T^2 + s^2 / n); the
    mean over all seeds is then normal, too, and t is noncentral with a scale.
    """
    shrinkage = spread / (spread + variance / pairs)
    new = np.maximum(seeds - pairs, 1)
    mean = (pairs + new * shrinkage) / (pairs + new) * difference
    deviation = new / (pairs + new) * np.sqrt(shrinkage * variance / pairs + variance / new)
    bound = stats.t.isf(level / 2, seeds - 1) * np.sqrt(variance / (pairs + new)) / deviation
    centre = np.abs(mean) / deviation
    power: Floats = stats.nct.sf(bound, seeds - 1, centre)
    return power
