"""Intervals that include the search: of each method, of their differences, and of the best method on validation.

They are intervals of the expected test Delta_m of the whole procedure. The procedure trains every setting with n new seeds, and
the baselines with theirs. It chooses baselines, epochs, settings (and for the best method the method) on validation. It
reports the mean test Delta_m of what it chose. In contrast, Student's and bootstrap intervals of the results table hold the
choices and the baselines fixed.

An interval is the result of the procedure +- a quantile of Student's t x its standard deviation over bootstrap samples of the
seeds. In each sample every choice is made again. Percentiles of so few seeds would cover too little: at five seeds 1.96
standard deviations cover 88 %. Student's t of n - 1 degrees of freedom would cover too much. Only the part of the variance
that is linear in the shares of the seeds has n - 1 degrees of freedom. The rest comes from choosing now one cell and now
another, and averages over these cells. With L of the variance V linear, Satterthwaite's approximation for a sum of an
estimated part and one taken as known gives V^2 / (L^2 / (n - 1)) degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from mtlsweep.analysis.conclusions.statistics import LEVEL
from mtlsweep.analysis.repetition.arrays import Floats, SweepArrays
from mtlsweep.analysis.repetition.procedure import Repetitions, repeat_procedure
from mtlsweep.analysis.seed_samples import balanced_seed_samples
from mtlsweep.analysis.selection import METHOD

Method = tuple[str, str]
"""Weighting and optimizer."""

FEWEST_REPEATED = 3
_SAMPLES = 2000
_STREAM = 20251126  # so that equal tables give equal figures


@dataclass(frozen=True)
class Repeated:
    """The procedure's own result, and its results in bootstrap samples of the seeds.

    Attributes:
        methods: (weighting, optimizer) of each column.
        settings: number of cells that were chosen among.
        result: over all seeds. samples: over samples of them, stretched.
        probability: of each distinct sample.
        shares: of the seeds in each sample, minus their mean: one array [samples, seeds] for seeds that sweep and baselines
            have in common, else one of each.
    """

    methods: tuple[Method, ...]
    settings: int
    result: Repetitions
    samples: Repetitions
    probability: Floats
    shares: tuple[Floats, ...]

    @property
    def seeds(self) -> int:
        """Number of replicates that decides how sure anything is: the fewer of the sweep's and the baselines'."""
        return min(share.shape[1] for share in self.shares)

    def interval(self, method: Method, minus: Method | None = None) -> tuple[float, float]:
        """Return the interval of a method's test Delta_m, or of its difference from another; NaN where it is not known."""
        if method not in self.methods or (minus is not None and minus not in self.methods):
            return np.nan, np.nan
        own, other = self.methods.index(method), None if minus is None else self.methods.index(minus)
        value, samples = (
            test[:, own] - (0.0 if other is None else test[:, other]) for test in (self.result.test, self.samples.test)
        )
        return self._around(float(value[0]), samples)

    def best_interval(self) -> tuple[float, float]:
        """Return the interval of the test Delta_m of the method that is best on validation, whichever that is."""
        value, samples = (
            np.take_along_axis(one.test, one.best[:, None], axis=1)[:, 0] for one in (self.result, self.samples)
        )
        return self._around(float(value[0]), samples)

    @property
    def optimism(self) -> float:
        """By how many points of Delta_m the best validation figure of all that was tried is expected to be too low."""
        return float(self.probability @ self.samples.luck)

    @property
    def note(self) -> str:
        """Why there are no intervals, else empty."""
        return f"too few seeds ({self.seeds}, needs {FEWEST_REPEATED})" if self.seeds < FEWEST_REPEATED else ""

    def _around(self, value: float, samples: Floats) -> tuple[float, float]:
        if self.note:
            return np.nan, np.nan
        deviations = samples - self.probability @ samples
        variance = float(self.probability @ deviations**2)
        if not variance > 0:
            return value + variance, value - variance  # of a constant no width, NaN of one that is not known
        estimated = 0.0
        for shares in self.shares:
            seeds = shares.shape[1]
            linear = seeds**2 * float(np.sum((shares.T @ (self.probability * deviations)) ** 2))
            estimated += linear**2 / (seeds - 1)
        degrees = variance**2 / estimated if estimated > 0 else np.inf
        reach = float(stats.t.ppf(0.5 + LEVEL / 2, degrees)) * np.sqrt(variance)
        return value - reach, value + reach


def repeat(sweep: SweepArrays) -> Repeated | None:
    """Repeat the procedure; None with fewer than two seeds, or without a cell that is done with all of them."""
    seeds, baseline_seeds = sweep.seeds, sweep.baseline_seeds
    if min(seeds, baseline_seeds) < 2 or not sweep.methods:
        return None
    draws = balanced_seed_samples(seeds, _SAMPLES, (_STREAM, 0))
    others = draws if sweep.same_seeds else balanced_seed_samples(baseline_seeds, _SAMPLES, (_STREAM, 1))
    both = np.hstack([draws, others])
    distinct, counts = np.unique(both, axis=0, return_counts=True)
    groups = (distinct[:, :seeds],) if sweep.same_seeds else (distinct[:, :seeds], distinct[:, seeds:])
    own = np.full((1, seeds), 1 / seeds), np.full((1, baseline_seeds), 1 / baseline_seeds)
    return Repeated(
        methods=sweep.methods,
        settings=len(sweep.method),
        result=repeat_procedure(sweep, *own, stretch=False),
        samples=repeat_procedure(sweep, distinct[:, :seeds], distinct[:, seeds:]),
        probability=counts / counts.sum(),
        shares=tuple(group - 1 / group.shape[1] for group in groups),
    )


def with_search_intervals(results: pd.DataFrame, repeated: Repeated | None) -> pd.DataFrame:
    """Append `test_delta_m_search_low` and `test_delta_m_search_high` to the results of methods."""
    ends = [_ends(repeated, method) for method in results[METHOD].itertuples(index=False, name=None)]
    return _with_ends(results, ends, "test_delta_m_search")


def with_search_intervals_of_differences(comparisons: pd.DataFrame, repeated: Repeated | None) -> pd.DataFrame:
    """Append `search_low` and `search_high` to the comparisons of two methods."""
    rows = comparisons[["question", "within", "a", "b"]].itertuples(index=False, name=None)
    return _with_ends(comparisons, [_ends(repeated, *_compared(*row)) for row in rows], "search")


def best_of_all(repeated: Repeated | None) -> pd.DataFrame:
    """Return a row on the best method on validation, whichever it is in a sample of seeds; none where nothing was repeated.

    Columns: `methods` and `settings` it was chosen among, `seeds`, `low` and `high` of its test Delta_m, `optimism` of its
    validation Delta_m in points, and `note`: why there is no interval.
    """
    rows = []
    if repeated is not None:
        low, high = repeated.best_interval()
        counts = len(repeated.methods), repeated.settings, repeated.seeds
        rows.append((*counts, low, high, repeated.optimism, repeated.note))
    table = pd.DataFrame(rows, columns=["methods", "settings", "seeds", "low", "high", "optimism", "note"])
    numbers = dict.fromkeys(["low", "high", "optimism"], "float64")
    return table.astype({**numbers, **dict.fromkeys(["methods", "settings", "seeds"], "int64"), "note": "str"})


def _compared(question: str, within: str, a: str, b: str) -> tuple[Method, Method]:
    return ((within, a), (within, b)) if question == "optimizer" else ((a, within), (b, within))


def _ends(repeated: Repeated | None, method: Method, minus: Method | None = None) -> tuple[float, float]:
    return (np.nan, np.nan) if repeated is None else repeated.interval(method, minus)


def _with_ends(table: pd.DataFrame, ends: Sequence[tuple[float, float]], name: str) -> pd.DataFrame:
    columns = [f"{name}_low", f"{name}_high"]
    return pd.concat([table, pd.DataFrame(np.array(ends, dtype=float).reshape(-1, 2), table.index, columns)], axis=1)
