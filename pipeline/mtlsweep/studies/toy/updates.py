"""Updates and steps of the toy problem for many points at once, as the CAGrad paper's toy code makes them.

A combination maps the task gradients [2 tasks, 2 coordinates, R] (float32) to updates [2, R]; products
of gradients are taken in float32 and what is computed from them in float64, since that is what torch
tensors and `.item()` do there. A stepper moves positions [2, R] along updates and rounds as torch's
optimizers do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

_SEARCH_TOLERANCE = 1e-5
_SEARCH_LIMIT = 500
_ROOT_EPSILON = math.sqrt(2.2e-16)
_GOLDEN = 0.5 * (3.0 - math.sqrt(5.0))

_RADIUS = 0.5
"""CAGrad's c."""

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, np.float32(1e-8)
Combination = Callable[[np.ndarray], np.ndarray]


def mean_gradient(gradients: np.ndarray) -> np.ndarray:
    """EW: the mean of the task gradients."""
    mean: np.ndarray = (gradients[0] + gradients[1]) / np.float32(2)
    return mean


def projected_gradients(gradients: np.ndarray) -> np.ndarray:
    """PCGrad: the mean of the two gradients, each without its component against the other."""
    g11, g12, g22 = _products(gradients)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = (1 - g12 / g11).astype(np.float32), (1 - g12 / g22).astype(np.float32)
    projected = (weights[0] * gradients[0] + weights[1] * gradients[1]) / np.float32(2)
    return np.where(g12 < 0, projected, mean_gradient(gradients))


def conflict_averse_gradient(gradients: np.ndarray) -> np.ndarray:
    """CAGrad with c = 0.5: (g0 + lambda g_w) / (1 + c), g0 the mean gradient and lambda = c |g0| / |g_w|.

    The weight w of the first task is found by one bounded scalar search. As in the official toy code
    1e-4 is added under each root and to |g_w| in lambda's denominator.
    """
    g11, g12, g22 = _products(gradients)
    reach = _RADIUS * (0.5 * np.sqrt(g11 + g22 + 2 * g12 + 1e-4))
    columns = zip(reach.tolist(), (g11 + g22 - 2 * g12).tolist(), (g12 - g22).tolist(), g22.tolist(), strict=True)
    w = np.array([conflict_averse_weight(*column) for column in columns])
    length = np.sqrt(w * w * g11 + (1 - w) ** 2 * g22 + 2 * w * (1 - w) * g12 + 1e-4)
    multiplier = (reach / (length + 1e-4)).astype(np.float32)
    weighted = w.astype(np.float32) * gradients[0] + (1 - w).astype(np.float32) * gradients[1]
    update: np.ndarray = (mean_gradient(gradients) + multiplier * weighted) / np.float32(1 + _RADIUS)
    return update


def conflict_averse_weight(reach: float, square: float, linear: float, constant: float) -> float:
    """Return argmin over w in [0, 1] of <g_w, g0> + reach |g_w|.

    The search is Brent's as in `scipy.optimize.minimize_scalar(method="bounded")`, step by step, because
    trajectories depend on where within its tolerance of 1e-5 it ends; calling scipy for each of a
    million updates takes five times as long.

    Args:
        reach: c |g0|.
        square, linear, constant: |g_w|^2 = square w^2 + 2 linear w + constant.
    """

    def objective(w: float) -> float:
        length = math.sqrt(w * w * square + 2 * w * linear + constant + 1e-4)
        return reach * length + 0.5 * w * square + (0.5 + w) * linear + constant

    low, high = 0.0, 1.0
    best = second = third = low + _GOLDEN * (high - low)
    at_best = at_second = at_third = objective(best)
    step = step_before = 0.0
    for _ in range(_SEARCH_LIMIT - 1):
        middle = 0.5 * (low + high)
        tolerance = _ROOT_EPSILON * abs(best) + _SEARCH_TOLERANCE / 3.0
        if abs(best - middle) <= 2.0 * tolerance - 0.5 * (high - low):
            break
        is_golden = True
        if abs(step_before) > tolerance:  # a parabola through the three best points
            r = (best - second) * (at_best - at_third)
            q = (best - third) * (at_best - at_second)
            p = (best - third) * q - (best - second) * r
            q = 2.0 * (q - r)
            p, q = (-p, q) if q > 0.0 else (p, -q)
            r, step_before = step_before, step
            if abs(p) < abs(0.5 * q * r) and q * (low - best) < p < q * (high - best):
                is_golden = False
                step = p / q
                trial = best + step
                if trial - low < 2.0 * tolerance or high - trial < 2.0 * tolerance:
                    step = tolerance if middle >= best else -tolerance
        if is_golden:
            step_before = low - best if best >= middle else high - best
            step = _GOLDEN * step_before
        trial = best + (max(abs(step), tolerance) if step >= 0 else -max(abs(step), tolerance))
        at_trial = objective(trial)
        if at_trial <= at_best:
            low, high = (best, high) if trial >= best else (low, best)
            third, at_third, second, at_second, best, at_best = second, at_second, best, at_best, trial, at_trial
        else:
            low, high = (trial, high) if trial < best else (low, trial)
            if at_trial <= at_second or second == best:
                third, at_third, second, at_second = second, at_second, trial, at_trial
            elif at_trial <= at_third or third in (best, second):
                third, at_third = trial, at_trial
    return best


def _products(gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return <g1, g1>, <g1, g2>, <g2, g2>, each [R]: computed in float32, given in float64."""
    (a1, a2), (b1, b2) = gradients
    return tuple((p + q).astype(np.float64) for p, q in ((a1 * a1, a2 * a2), (a1 * b1, a2 * b2), (b1 * b1, b2 * b2)))


class Stepper(Protocol):
    """Moves R points; each has a learning rate of its own."""

    def step(self, positions: np.ndarray, updates: np.ndarray) -> np.ndarray:
        """Return `positions` [2, R] after one step along `updates` [2, R]."""

    def keep(self, rows: np.ndarray) -> None:
        """Forget the points that are not in `rows` (a mask [R])."""


class GradientDescent:
    """x <- x - lr g, in one rounding, as torch's SGD without momentum.

    Args:
        learning_rates: [R].
    """

    def __init__(self, learning_rates: np.ndarray) -> None:
        self._rates = learning_rates.astype(np.float32).astype(np.float64)

    def step(self, positions: np.ndarray, updates: np.ndarray) -> np.ndarray:
        return _multiply_add(updates, -self._rates, positions)

    def keep(self, rows: np.ndarray) -> None:
        self._rates = self._rates[rows]


class Adam:
    """Adam with its usual settings and no weight decay, rounding as torch's fused kernel does.

    Args:
        learning_rates: [R].
    """

    def __init__(self, learning_rates: np.ndarray) -> None:
        self._rates = learning_rates
        self._first = np.zeros((2, len(learning_rates)), np.float32)
        self._second = np.zeros_like(self._first)
        self._steps = 0

    def step(self, positions: np.ndarray, updates: np.ndarray) -> np.ndarray:
        self._steps += 1
        fresh = np.float32(1 - _BETA2) * updates
        self._first = _multiply_add(updates - self._first, np.float32(1 - _BETA1), self._first)
        self._second = _multiply_add(fresh, updates, self._second * np.float32(_BETA2))
        correction = np.float32(math.sqrt(1 - _BETA2**self._steps))
        length = np.sqrt(self._second) / correction + _EPSILON
        rates = (-(self._rates / (1 - _BETA1**self._steps))).astype(np.float32)
        moved: np.ndarray = positions + rates * self._first / length
        return moved

    def keep(self, rows: np.ndarray) -> None:
        self._rates, self._first, self._second = self._rates[rows], self._first[:, rows], self._second[:, rows]


def _multiply_add(a: np.ndarray, b: np.ndarray | np.floating, c: np.ndarray) -> np.ndarray:
    """Return a b + c rounded once, as a fused multiply-add gives it."""
    total: np.ndarray = (a.astype(np.float64) * b + c).astype(np.float32)
    return total
