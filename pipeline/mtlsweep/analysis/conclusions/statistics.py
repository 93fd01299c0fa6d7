"""How certain the results are: intervals, paired tests and corrections, for the few seeds that people can afford.

With too few seeds for a figure the functions return None instead of a guess, and the tables say why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mtlsweep.analysis.fronts.pareto_set import nondominated
from mtlsweep.analysis.seed_samples import seed_samples

LEVEL = 0.95
FEWEST_SEEDS = 5  # with fewer, bootstrap intervals cover far less than 95 %, and no test can check normality
FEWEST_BLOCKS = 6  # with fewer, an exact sign-flip test cannot reach 5 %: 2 / 2**5 = 0.0625
_RESAMPLES = 2000
_MOST_FLIPS = 14  # up to 2**14 sign patterns are enumerated, beyond that as many are drawn
_STREAM = 20240910  # the seed of every resampling, so that equal tables give equal figures


@dataclass(frozen=True)
class Comparison:
    """A paired difference a - b and what is known about it.

    Attributes:
        pairs: number of paired values.
        difference, low, high: mean and its 95 % interval, those values that the test does not reject (with too few
            weightings for it Student's t); low and high are None with one pair.
        effect_size: Hedges' g for paired values (mean / std, corrected for few pairs).
        p: two-sided p value; None with too few pairs.
        note: why something is missing, else empty.
        deviation: standard deviation of the difference over pairs; None with one pair.
    """

    pairs: int
    difference: float
    low: float | None
    high: float | None
    effect_size: float | None
    p: float | None
    note: str
    deviation: float | None = None


def mean_interval(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Return low, high and method of 95 % intervals of the mean of each column of `values` [seeds, figures].

    From `FEWEST_SEEDS` on the studentised bootstrap (Efron and Tibshirani 1993, chapter 12.5), which
    keeps its level for skewed values too; with 2 to 4 seeds Student's t, which assumes normal
    values; with one seed there is no interval (NaN). A column with a NaN has none either. Written here because
    `scipy.stats.bootstrap` has no studentised method.
    """
    count = len(values)
    missing = np.full(values.shape[1], np.nan)
    if count < 2:
        return missing, missing.copy(), "none"
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(count)
    if count < FEWEST_SEEDS:
        reach = stats.t.ppf(0.5 + LEVEL / 2, count - 1) * error
        return mean - reach, mean + reach, "student_t"
    weights, centred = seed_samples(count, _RESAMPLES, _STREAM), values - mean
    shift = weights @ centred
    variance = (weights @ centred**2 - shift**2) * (count / (count - 1))
    spread = np.sqrt(np.maximum(variance, 0.0) / count)
    usable = spread > 1e-6 * error  # a sample that repeats one value has no spread to divide by
    studentised = np.where(usable, np.divide(shift, spread, where=usable, out=np.zeros_like(shift)), np.nan)
    constant = ~(error > 0)
    studentised[:, constant] = 0.0
    lower, upper = np.nanquantile(studentised, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2], axis=0)
    low, high = mean - upper * error, mean - lower * error
    return np.where(np.isnan(mean), np.nan, low), np.where(np.isnan(mean), np.nan, high), "bootstrap_t"


def pooled_variance(deviations: NDArray[np.float64], counts: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the variance that rows of few values share, and its degrees of freedom; None if no row has a deviation.

    Two or three seeds say little about one row's noise, but twenty rows say much about the noise they
    share: its variance is the median of the rows' variances, corrected for the skewness of the
    chi-square distribution, so that a few very noisy rows do not hide the differences between the others.

    Args:
        deviations: standard deviation of each row, NaN where unknown.
        counts: number of values behind each.
    """
    known = np.isfinite(deviations) & (counts > 1)
    if not known.any():
        return None
    degrees = float(np.median(counts[known])) - 1
    variance = float(np.median(deviations[known] ** 2)) * degrees / float(stats.chi2.median(degrees))
    return variance, float(known.sum() * degrees)


def compare_pairs(a: NDArray[np.float64], b: NDArray[np.float64]) -> Comparison:
    """Compare values paired by seed with Student's paired t test.

    `scipy.stats.ttest_rel` gives the same p to 15 digits, but no note when the difference does not vary.
    """
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    count, mean = len(difference), float(np.mean(difference))
    deviation = float(np.std(difference, ddof=1)) if count > 1 else None
    low, high = paired_interval(mean, deviation, count) if deviation is not None else (None, None)
    if deviation is None or count < FEWEST_SEEDS:
        return Comparison(
            count, mean, low, high, None, None, f"too few seeds ({count}, needs {FEWEST_SEEDS})", deviation
        )
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        return Comparison(count, mean, low, high, None, None, "the difference does not vary over seeds", deviation)
    p = float(2 * stats.t.sf(abs(mean) / (deviation / np.sqrt(count)), count - 1))
    hedges = 1 - 3 / (4 * (count - 1) - 1)
    return Comparison(count, mean, low, high, hedges * mean / deviation, p, "", deviation)


def compare_blocks(differences: NDArray[np.float64]) -> Comparison:
    """Test whether differences, one per block (a weighting), centre on zero: sign-flip test of the mean.

    It generalises over weightings, not over seeds, so it needs many weightings and not many seeds.
    Up to `_MOST_FLIPS` blocks it is scipy's exact test. Beyond, the signs are drawn here: scipy would draw
    others, and the p values of studies already written would change.
    """
    differences = np.asarray(differences, dtype=float)
    count, mean = len(differences), float(np.mean(differences))
    if count < FEWEST_BLOCKS:
        low, high = paired_interval(mean, np.std(differences, ddof=1), count) if count > 1 else (None, None)
        return Comparison(count, mean, low, high, None, None, f"too few weightings ({count}, needs {FEWEST_BLOCKS})")
    low, high = flip_interval(differences)
    if count <= _MOST_FLIPS:
        exact: Any = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
        p = float(exact.pvalue)
    else:
        signs = _sign_patterns(count)
        p = float((1 + np.sum(np.abs(signs @ differences) >= abs(differences.sum()) * (1 - 1e-12))) / (1 + len(signs)))
    deviation = float(np.std(differences, ddof=1))
    effect = (1 - 3 / (4 * (count - 1) - 1)) * mean / deviation if deviation > 0 else None
    return Comparison(count, mean, low, high, effect, p, "", deviation)


@lru_cache(maxsize=8)
def _sign_patterns(count: int) -> NDArray[np.int64]:
    """Return patterns of signs [patterns, blocks]: all of them up to `_MOST_FLIPS` blocks, else as many drawn ones."""
    if count <= _MOST_FLIPS:
        return 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    return np.random.default_rng(_STREAM).choice([-1, 1], size=(2**_MOST_FLIPS, count))


def paired_interval(difference: Any, deviation: Any, pairs: Any, level: Any = 1 - LEVEL) -> tuple[Any, Any]:
    """Return the differences that the paired t test does not reject at `level`: low and high; numbers or arrays.

    Args:
        difference, deviation, pairs: mean, standard deviation and number of the paired differences, at least two.
        level: of the test, 5 % or what Holm's correction leaves of it (`holm_levels`).
    """
    reach = stats.t.isf(level / 2, pairs - 1) * deviation / np.sqrt(pairs)
    return difference - reach, difference + reach


def flip_interval(differences: NDArray[np.float64], level: float = 1 - LEVEL) -> tuple[float | None, float | None]:
    """Return the centres that the sign-flip test does not reject at `level`; None where it could reject none.

    To flip the signs of some differences from a centre makes their sum at least as extreme where the mean of the flipped
    ones or that of the others is beyond the centre, so the ends are such means (Hartigan 1969).
    """
    flipped = _sign_patterns(len(differences)) < 0
    size, part = flipped.sum(axis=1), flipped @ differences
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.array([part / size, (differences.sum() - part) / (len(differences) - size)])
    none = (size == 0) | (size == len(differences))  # nothing is flipped against anything: extreme at every centre
    lower, upper = np.where(none, -np.inf, means.min(axis=0)), np.where(none, np.inf, means.max(axis=0))
    drawn = len(differences) > _MOST_FLIPS  # the pattern seen counts beside those drawn
    needed = math.ceil(level * (len(flipped) + drawn)) - drawn  # so many extreme patterns and the test does not reject
    low = float(np.sort(lower)[needed - 1]) if needed > 0 else -np.inf
    high = float(np.sort(upper)[-needed]) if needed > 0 else np.inf
    return (low, high) if np.isfinite(low) else (None, None)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p values for their number (Holm 1979); those that are NaN were not tested and do not count.

    Written here because statsmodels' `multipletests` collects the garbage of the whole process in each call, half
    a second in a process with torch.
    """
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    corrected = np.full(len(p_values), np.nan)
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def holm_levels(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the level at which Holm's procedure tests each hypothesis; 5 % for those that are not tested (NaN).

    The k-th smallest of m p values is tested at 5 % / (m - k + 1), down to the first that is not rejected, whose level
    holds for all that are left. A test at its own level rejects exactly where the corrected p is below 5 %, so the interval
    of that level leaves out 0 exactly there. It is never narrower than the plain 95 % interval.
    """
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    rejected = int((holm(p_values)[order] < 1 - LEVEL).sum())
    steps = np.minimum(np.arange(len(order)), rejected)
    levels = np.full(len(p_values), 1 - LEVEL)
    levels[order] = (1 - LEVEL) / (len(order) - np.minimum(steps, len(order) - 1))
    return levels


def rank_agreement(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float | None, float | None, str]:
    """Return Kendall's tau-b of two rankings of the same items, its p value (from five items on), and a note."""
    if len(a) < 2:
        return None, None, "fewer than two weightings in common"
    result: Any = stats.kendalltau(a, b)
    tau = None if np.isnan(result.statistic) else float(result.statistic)
    if len(a) < 5 or tau is None:
        return tau, None, f"too few weightings ({len(a)}, needs 5)" if tau is not None else "all values are equal"
    return tau, float(result.pvalue), ""


def membership_probability(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each method the bootstrap probability that its mean is on the front of all means.

    Seeds are drawn with replacement, the same for every method, because a seed's effect (its data
    order) is shared. Deviations are multiplied by sqrt(n / (n - 1)), as the mean of a bootstrap sample
    otherwise varies too little with few seeds.

    Args:
        values: [seeds, methods, objectives], finite, lower is better, at least two seeds.
    """
    count, methods = values.shape[0], values.shape[1]
    mean = values.mean(axis=0)
    samples = seed_samples(count, _RESAMPLES, _STREAM)
    stretched = mean + np.sqrt(count / (count - 1)) * np.einsum("rs,smk->rmk", samples, values - mean)
    member = np.zeros(methods)
    for sample in stretched:
        member += nondominated(sample)
    share: NDArray[np.float64] = member / _RESAMPLES
    return share
