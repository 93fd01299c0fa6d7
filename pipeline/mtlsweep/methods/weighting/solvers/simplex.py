"""Exact minimisers over the probability simplex: the small convex problems of MGDA and CAGrad, and the projection.

The two problems are solved by a primal active set: minimise on the affine hull of the current support, step
towards that point until a weight reaches zero or the point itself is reached, then add the vertex
with the steepest descent. It ends at the optimum after about as many small linear solves as tasks take part.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from scipy.linalg.lapack import dgesv
from torch import Tensor

_RIDGE = 1e-14
"""Added to the unit diagonal of the cosines: keeps linearly dependent gradients solvable."""


class _Products:
    """The Gramian, scaled so that tasks with very different gradient lengths lose no precision."""

    def __init__(self, gramian: np.ndarray) -> None:
        norms = np.sqrt(gramian.diagonal())
        self.norms = np.maximum(norms, 1e-12 * norms.max())
        self.cosines = gramian / self.norms[:, None] / self.norms
        self.cosines.reshape(-1)[:: len(gramian) + 1] = 1.0 + _RIDGE  # the diagonal

    def solve(self, support: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return M_SS^{-1} `right` [S, K]; calls LAPACK directly, because numpy's wrapper takes longer than the solution."""
        scale = self.norms[support, None]
        _, _, solution, failed = dgesv(self.cosines[support[:, None], support], right / scale)
        if failed:
            raise np.linalg.LinAlgError("task gradients are singular")
        scaled: np.ndarray = solution / scale
        return scaled

    def times(self, weights: np.ndarray) -> np.ndarray:
        """Return M `weights` [T]."""
        product: np.ndarray = (self.cosines @ (weights * self.norms)) * self.norms
        return product


class _Objective(Protocol):
    """A convex function on the simplex."""

    def at_vertices(self) -> np.ndarray:
        """Return the value at each of the T vertices."""

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """Return the gradient [T] at `weights` [T]."""

    def direction(self, support: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return the step [S] from `weights` [S] on `support` to the minimiser on its affine hull.

        The flag is False if there is none: the objective decreases without bound along the step.
        """


class _MinimumNorm:
    """|g_w|^2 / 2."""

    def __init__(self, products: _Products) -> None:
        self._products = products

    def at_vertices(self) -> np.ndarray:
        return self._products.norms

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        return self._products.times(weights)

    def direction(self, support: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        target = self._products.solve(support, np.ones((len(support), 1)))[:, 0]
        return target / target.sum() - weights, True


class _ConflictAverse:
    """<g_w, gbar> + radius |g_w|, with gbar the mean gradient and b = M 1 / T its products with all.

    On a support S, with M_SS^{-1} taken, stationary points satisfy b_S + sigma M_SS w = nu 1 with
    sigma = radius / |g_w|; sum w = 1 and the definition of sigma then give a quadratic equation for
    nu. If it has no root, the ball of that radius around gbar misses the subspace where the tasks of
    S gain equally, and the objective decreases without bound on S.
    """

    def __init__(self, products: _Products, mean: np.ndarray, radius: float) -> None:
        self._products, self._mean, self._radius = products, mean, radius

    def at_vertices(self) -> np.ndarray:
        values: np.ndarray = self._mean + self._radius * self._products.norms
        return values

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        product = self._products.times(weights)
        gradient: np.ndarray = self._mean + (self._radius / np.sqrt(weights @ product)) * product
        return gradient

    def direction(self, support: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        right = np.ones((len(support), 2))
        right[:, 1] = mean = self._mean[support]
        ones, means = self._products.solve(support, right).T
        total, cross = ones.sum(), means.sum()
        root = cross**2 - total * (mean @ means - self._radius**2)
        if root <= 0.0:
            return (cross / total) * ones - means, False
        sigma = np.sqrt(root)
        return ((cross + sigma) / total * ones - means) / sigma - weights, True


def _minimise(objective: _Objective, tasks: int) -> np.ndarray:
    weights = np.zeros(tasks)
    first = int(objective.at_vertices().argmin())
    weights[first] = 1.0
    members = [first]
    for _ in range(10 * tasks):
        gradient = objective.gradient(weights)
        entering = int(gradient.argmin())
        largest = max(gradient.max(), -gradient[entering])
        if entering in members or gradient[entering] >= weights @ gradient - 1e-12 * largest:
            break
        members.append(entering)
        _descend(objective, weights, members)
    normalised: np.ndarray = weights / weights.sum()
    return normalised


def _descend(objective: _Objective, weights: np.ndarray, members: list[int]) -> None:
    """Move `weights` to the minimiser on `members`, dropping those that reach zero on the way."""
    while len(members) > 1:
        support = np.array(members)
        current = weights[support]
        direction, reaches = objective.direction(support, current)
        target = current + direction
        if reaches and target.min() > 0.0:
            weights[support] = target
            return
        falling = np.flatnonzero(direction < 0.0)
        if not falling.size:
            weights[support] = target
            return
        steps = current[falling] / -direction[falling]
        blocking = int(steps.argmin())
        weights[support] = np.maximum(current + steps[blocking] * direction, 0.0)
        weights[members.pop(int(falling[blocking]))] = 0.0
    weights[members] = 1.0


def minimum_norm_weights(gramian: np.ndarray) -> np.ndarray:
    """Return the point w [T] of the simplex with the shortest g_w = sum_i w_i g_i, for `gramian` [T, T]."""
    if not gramian.diagonal().max() > 0:
        return np.full(len(gramian), 1.0 / len(gramian))
    return _minimise(_MinimumNorm(_Products(gramian)), len(gramian))


def conflict_averse_weights(gramian: np.ndarray, c: float) -> np.ndarray:
    """Return argmin over the simplex of <g_w, gbar> + c |gbar| |g_w|, [T], for `gramian` [T, T].

    If c = 0 or the gradients sum to zero, every point is a minimiser; this returns equal weights.
    """
    squared = gramian.mean()
    if not squared > 0 or not c > 0:
        return np.full(len(gramian), 1.0 / len(gramian))
    objective = _ConflictAverse(_Products(gramian / squared), gramian.mean(axis=1) / squared, c)
    return _minimise(objective, len(gramian))


def sum_to_one(weights: Tensor) -> Tensor:
    """Return `weights` [T], 0 or more, made to sum to 1; equal ones if all are 0, because absent tasks have all of it."""
    total = weights.sum()
    return torch.where(total > 0, weights / total, 1.0 / len(weights))


def project_onto_simplex(point: np.ndarray) -> np.ndarray:
    """Return the point of the simplex that is nearest to `point` [T]."""
    descending = np.sort(point)[::-1]
    excess = (np.cumsum(descending) - 1.0) / np.arange(1, len(point) + 1)
    shift = excess[np.flatnonzero(descending > excess)[-1]]
    projected: np.ndarray = np.maximum(point - shift, 0.0)
    return projected
