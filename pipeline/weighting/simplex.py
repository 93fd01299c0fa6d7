"""Exact minimisers over the probability simplex: the small convex problems of MGDA and CAGrad.

Both are solved by a primal active set: minimise on the affine hull of the current support, step
towards that point until a weight reaches zero or the point itself is reached, then let in the vertex
that descends most. It ends at the optimum after about as many small linear solves as tasks take part.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

_RIDGE = 1e-14
"""Added to the unit diagonal of the cosines: keeps linearly dependent gradients solvable."""


class _Objective(Protocol):
    def at_vertices(self) -> np.ndarray:
        """Return the value at each of the T vertices."""

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """Return the gradient [T] at `weights` [T]."""

    def towards_minimum(self, support: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return the direction, on `support`, from `weights` to the minimiser on its affine hull.

        The flag says that the minimiser lies one whole step away; without it the objective falls for
        ever along the direction.
        """


class _Quadratics:
    """The Gramian, scaled so that tasks of very different gradient length lose no digits."""

    def __init__(self, gramian: np.ndarray) -> None:
        norms = np.sqrt(gramian.diagonal())
        self.norms = np.maximum(norms, 1e-12 * norms.max())
        self.cosines = gramian / self.norms[:, None] / self.norms
        np.fill_diagonal(self.cosines, 1.0 + _RIDGE)

    def solve(self, support: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return M_SS^{-1} `right` [S, K]."""
        scale = self.norms[support, None]
        solution: np.ndarray = np.linalg.solve(self.cosines[np.ix_(support, support)], right / scale) / scale
        return solution

    def times(self, weights: np.ndarray) -> np.ndarray:
        """Return M `weights` [T]."""
        product: np.ndarray = (self.cosines @ (weights * self.norms)) * self.norms
        return product


class _MinimumNorm:
    """|g_w|^2 / 2."""

    def __init__(self, quadratics: _Quadratics) -> None:
        self._quadratics = quadratics

    def at_vertices(self) -> np.ndarray:
        return self._quadratics.norms**2

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        return self._quadratics.times(weights)

    def towards_minimum(self, support: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        target = self._quadratics.solve(support, np.ones((len(support), 1)))[:, 0]
        return target / target.sum() - weights[support], True


class _ConflictAverse:
    """<g_w, gbar> + radius |g_w|, with gbar the mean gradient.

    On a support S, with M_SS^{-1} taken, stationary points satisfy b_S + sigma M_SS w = nu 1, where
    b = M 1 / T and sigma = radius / |g_w|; sum w = 1 and the definition of sigma then give a
    quadratic equation for nu. If it has no root, the ball of that radius around gbar misses the
    subspace where the tasks of S gain equally, and the objective falls for ever on S.
    """

    def __init__(self, quadratics: _Quadratics, mean: np.ndarray, radius: float) -> None:
        self._quadratics, self._mean, self._radius = quadratics, mean, radius

    def at_vertices(self) -> np.ndarray:
        return self._mean + self._radius * self._quadratics.norms

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        product = self._quadratics.times(weights)
        return self._mean + (self._radius / np.sqrt(weights @ product)) * product

    def towards_minimum(self, support: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        mean = self._mean[support]
        ones, means = self._quadratics.solve(support, np.stack((np.ones(len(support)), mean), axis=1)).T
        total, cross = ones.sum(), means.sum()
        level = cross / total
        root = cross**2 - total * (mean @ means - self._radius**2)
        if root <= 0.0:
            return level * ones - means, False
        sigma = np.sqrt(root)
        return ((level + sigma / total) * ones - means) / sigma - weights[support], True


def _minimise(objective: _Objective, tasks: int) -> np.ndarray:
    weights = np.zeros(tasks)
    weights[objective.at_vertices().argmin()] = 1.0
    active = weights > 0
    for _ in range(10 * tasks):
        while True:
            support = active.nonzero()[0]
            direction, reaches = objective.towards_minimum(support, weights)
            falling = direction < 0
            steps = np.where(falling, -weights[support] / np.where(falling, direction, 1.0), np.inf)
            blocking = steps.argmin()
            if len(support) == 1 or (reaches and steps[blocking] >= 1.0):
                break
            weights[support] += steps[blocking] * direction
            weights[support[blocking]], active[support[blocking]] = 0.0, False
        if len(support) > 1:
            weights[support] += direction
        gradient = objective.gradient(weights)
        level = weights @ gradient
        entering = np.where(active, np.inf, gradient).argmin()
        if active.all() or gradient[entering] >= level - 1e-12 * np.abs(gradient).max():
            break
        active[entering] = True
    weights = np.maximum(weights, 0.0)
    normalised: np.ndarray = weights / weights.sum()
    return normalised


def minimum_norm_weights(gramian: np.ndarray) -> np.ndarray:
    """Return the point w [T] of the simplex with the shortest g_w = sum_i w_i g_i, for `gramian` [T, T]."""
    if not gramian.diagonal().max() > 0:
        return np.full(len(gramian), 1.0 / len(gramian))
    return _minimise(_MinimumNorm(_Quadratics(gramian)), len(gramian))


def conflict_averse_weights(gramian: np.ndarray, c: float) -> np.ndarray:
    """Return argmin over the simplex of <g_w, gbar> + c |gbar| |g_w|, [T], for `gramian` [T, T]."""
    squared = gramian.mean()
    if not squared > 0 or not c > 0:
        return np.full(len(gramian), 1.0 / len(gramian))
    objective = _ConflictAverse(_Quadratics(gramian / squared), gramian.mean(axis=1) / squared, c)
    return _minimise(objective, len(gramian))
