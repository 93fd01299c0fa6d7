"""K-means of numbers on a line, solved exactly."""

from __future__ import annotations

import numpy as np


def cluster_means(values: np.ndarray, clusters: int) -> np.ndarray:
    """Return for each of `values` [T] the mean of its cluster, in the split of least squared error.

    On a line clusters are runs of sorted values, so dynamic programming over the last run's start finds
    the best split (Wang and Song 2011, R Journal 3/2). More clusters than values: each is its own.
    """
    order = values.argsort(kind="stable")
    ordered, count = values[order], len(values)
    costs = _costs_of_runs(ordered)
    least = costs[0]  # of the first 1, 2, ... values in one run
    starts = []
    for _ in range(min(clusters, count) - 1):
        candidates = np.concatenate(([0.0], least[:-1]))[:, None] + costs  # row: start of the last run; column: its end
        starts.append(candidates.argmin(axis=0))
        least = candidates.min(axis=0)
    means = np.empty(count)
    end = count
    for row in [*reversed(starts), np.zeros(count, dtype=int)]:
        start = int(row[end - 1])
        means[order[start:end]] = ordered[start:end].mean()
        end = start
        if not end:
            break
    return means


def _costs_of_runs(ordered: np.ndarray) -> np.ndarray:
    """Return [T, T]: the squared error of the run from the row's value to the column's; infinite if there is no such run."""
    centred = ordered - ordered.mean()
    sums, squares = np.cumsum(np.concatenate(([0.0], centred))), np.cumsum(np.concatenate(([0.0], centred**2)))
    starts, ends = np.arange(len(ordered))[:, None], np.arange(1, len(ordered) + 1)[None, :]
    lengths = ends - starts
    totals = sums[ends] - sums[starts]
    costs = squares[ends] - squares[starts] - totals**2 / np.maximum(lengths, 1)
    allowed: np.ndarray = np.where(lengths > 0, np.maximum(costs, 0.0), np.inf)
    return allowed
