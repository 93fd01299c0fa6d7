"""How much two distributions differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import mannwhitneyu


def describe(values: np.ndarray) -> dict[str, float]:
    """Return mean, standard deviation, 2.5 % and 97.5 % percentiles and number of `values` that are not NaN; NaN without any."""
    values = _measured(values)
    if not len(values):
        return {"mean": np.nan, "std": np.nan, "low": np.nan, "high": np.nan, "pairs": 0}
    low, high = np.percentile(values, [2.5, 97.5])
    return {"mean": values.mean(), "std": values.std(), "low": low, "high": high, "pairs": len(values)}


def effect(of_tasks: Mapping[str, np.ndarray], of_samples: Mapping[str, np.ndarray], measure: str) -> dict[str, float]:
    """Return how pairs of tasks and pairs of samples differ in `measure`; see `Measured.effects`."""
    one, other = _measured(of_tasks[measure]), _measured(of_samples[measure])
    pooled = np.sqrt(
        ((len(one) - 1) * one.var(ddof=1) + (len(other) - 1) * other.var(ddof=1)) / (len(one) + len(other) - 2)
    )
    return {
        "inter_task": one.mean(),
        "inter_sample": other.mean(),
        "difference": one.mean() - other.mean(),
        "cohens_d": (one.mean() - other.mean()) / pooled,
        "task_above_sample": probability_above(one, other),
        "task_pairs": len(one),
        "sample_pairs": len(other),
        "task_conflicts": float((of_tasks["cosine"] < 0).mean()),
        "sample_conflicts": float((of_samples["cosine"] < 0).mean()),
    }


def _measured(values: np.ndarray) -> np.ndarray:
    """Return the values of the pairs for which a measure is defined."""
    return values[~np.isnan(values)]


def probability_above(one: np.ndarray, other: np.ndarray) -> float:
    """Return the probability that a random value of `one` exceeds one of `other`, ties counted half."""
    return float(mannwhitneyu(one, other, method="asymptotic").statistic / (len(one) * len(other)))
