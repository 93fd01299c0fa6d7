"""K-means of numbers on a line, solved exactly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def cluster_means(values: np.ndarray, clusters: int) -> np.ndarray:
    """Return for each of `values` [T] the mean of its cluster, in the split of least squared error.

    On a line clusters are runs of sorted values, so dynamic programming over the last run's start finds
    the best split (Wang and Song 2011, R Journal 3/2). More clusters than values: each is its own.
    """
    order = values.argsort(kind="stable")
    ordered, count = values[order], len(values)
    costs = _costs_of_runs(ordered)
    least, before = costs[0], np.zeros((count, 1))  # of the first 1, 2, ... values in one run; of those before a run
    starts = [np.zeros(count, dtype=int)]
    for _ in range(min(clusters, count) - 1):
        before[1:, 0] = least[:-1]
        candidates = before + costs  # row: start of the last run; column: its end
        starts.append(candidates.argmin(axis=0))
        least = candidates.min(axis=0)
    means, end = np.empty(count), count
    while end:
        start = int(starts.pop()[end - 1])
        means[order[start:end]] = ordered[start:end].sum() / (end - start)
        end = start
    return means


def _costs_of_runs(ordered: np.ndarray) -> np.ndarray:
    """Return [T, T]: the squared error of the run from the row's value to the column's; infinite if there is no such run."""
    lengths, forbidden = _runs(len(ordered))
    centred = ordered - ordered.sum() / len(ordered)
    sums, squares = np.zeros((2, len(ordered) + 1))
    centred.cumsum(out=sums[1:])
    (centred * centred).cumsum(out=squares[1:])
    totals = sums[1:] - sums[:-1, None]
    costs: np.ndarray = np.maximum(squares[1:] - squares[:-1, None] - totals * totals / lengths, forbidden)
    return costs


@lru_cache
def _runs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, by start and end, the length of each run of `count` values, and 0; 1 and infinity where there is no run."""
    lengths = np.arange(1, count + 1)[None, :] - np.arange(count)[:, None]
    return np.maximum(lengths, 1), np.where(lengths > 0, 0.0, np.inf)
