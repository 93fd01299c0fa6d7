"""The two-task toy problem of the CAGrad paper (Liu et al. 2021, arXiv 2110.14048), in float32.

Its trajectories are chaotic, so rounding changes them: in float64 CAGrad with gradient
descent at learning rate 1 needs 310 iterations instead of 213. `evaluate` therefore repeats, for many
points at once and without building a graph, exactly the operations in which torch evaluates the
losses and differentiates them; a test compares it with autograd bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

STARTS = ((-8.5, 7.5), (-8.5, -5.0), (9.0, 9.0))
"""The three starts ("seeds") of every setting."""

ARRIVED = -15.0
"""A start has reached the global minimum (mean loss -15.0916 at (0, -8.3551)) when its mean loss is no larger."""

_FLOOR = np.float32(5e-6)


@dataclass(frozen=True)
class Point:
    """Losses and gradients at R points, all float32.

    Attributes:
        losses: [2, R].
        gradients: [2 tasks, 2 coordinates, R].
    """

    losses: np.ndarray
    gradients: np.ndarray

    @property
    def mean_loss(self) -> np.ndarray:
        """0.5 (L1 + L2), [R]."""
        mean: np.ndarray = np.float32(0.5) * (self.losses[0] + self.losses[1])
        return mean


def losses(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """Return L1 and L2 at the points (`x1`, `x2`), as the paper writes them."""
    f1 = torch.clamp((0.5 * (-x1 - 7) - torch.tanh(-x2)).abs(), 5e-6).log() + 6
    f2 = torch.clamp((0.5 * (-x1 + 3) + torch.tanh(-x2) + 2).abs(), 5e-6).log() + 6
    c1 = torch.clamp(torch.tanh(x2 * 0.5), 0)
    q1 = ((-x1 + 7).pow(2) + 0.1 * (-x2 - 8).pow(2)) / 10 - 20
    q2 = ((-x1 - 7).pow(2) + 0.1 * (-x2 - 8).pow(2)) / 10 - 20
    c2 = torch.clamp(torch.tanh(-x2 * 0.5), 0)
    return f1 * c1 + q1 * c2, f2 * c1 + q2 * c2


def evaluate(positions: np.ndarray) -> Point:
    """Return losses and their gradients at `positions` [2, R] (float32): `losses` and its derivative, to the bit."""
    x1, x2 = positions
    slope, gate = _tanh(-x2), _tanh(x2 * _f(0.5))
    c1, c2 = np.maximum(gate, 0), np.maximum(-gate, 0)
    height = -x2 - _f(8)
    bowl_height = _f(0.1) * (height * height)
    # The common part of both tasks' derivatives by x2. Torch fuses the 1 - t^2 of tanh's derivative.
    gate_slope, slope_slope = _one_minus_square(gate), _one_minus_square(slope)
    tenth = c2 / _f(10)
    of_height = -((tenth * _f(0.1)) * (_f(2) * height))
    losses_of_tasks, gradients = [], []
    for sign, inside, across in (
        (_f(-1), _f(0.5) * (-x1 - _f(7)) - slope, -x1 + _f(7)),
        (_f(1), _f(0.5) * (-x1 + _f(3)) + slope + _f(2), -x1 - _f(7)),
    ):
        size = np.abs(inside)
        floored = np.maximum(size, _FLOOR)
        valley = _log(floored) + _f(6)
        bowl = (across * across + bowl_height) / _f(10) - _f(20)
        losses_of_tasks.append(valley * c1 + bowl * c2)
        of_inside = np.where(size >= _FLOOR, c1 / floored, _f(0)) * np.sign(inside)
        by_x1 = -(_f(0.5) * of_inside) - tenth * (_f(2) * across)
        by_x2 = -((np.where(gate <= 0, bowl, _f(0)) * gate_slope) * _f(0.5)) + of_height
        by_x2 += (np.where(gate >= 0, valley, _f(0)) * gate_slope) * _f(0.5)
        by_x2 -= (sign * of_inside) * slope_slope
        gradients.append((by_x1, by_x2))
    return Point(np.array(losses_of_tasks), np.array(gradients))


def _f(value: float) -> np.float32:
    return np.float32(value)


def _tanh(values: np.ndarray) -> np.ndarray:
    """Torch's tanh, whose last bit is not numpy's."""
    return torch.from_numpy(values).tanh_().numpy()


def _log(values: np.ndarray) -> np.ndarray:
    return torch.from_numpy(values).log().numpy()


def _one_minus_square(values: np.ndarray) -> np.ndarray:
    """1 - v^2 with one rounding, as a fused multiply-add gives it."""
    exact = values.astype(np.float64)
    rounded: np.ndarray = (1.0 - exact * exact).astype(np.float32)
    return rounded
