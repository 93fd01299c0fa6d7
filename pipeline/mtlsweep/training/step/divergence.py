"""Detects that a trial has diverged, and says why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from mtlsweep.methods.weighting import Weights


class Diverged(Exception):  # noqa: N818 - an outcome, not an error
    """Training has diverged.

    Attributes:
        cause: `nan` (a loss, product of gradients or weight is not finite, or a solver gave up on it)
            or `explosion` (a loss far above where it started).
        detail: which task or number, and its value.
    """

    def __init__(self, cause: Literal["nan", "explosion"], detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class DivergenceCheck:
    """Remembers each task's first loss; all values it checks are already on the host.

    Args:
        tasks: names of the T tasks.
        explosion_factor: how many times max(first loss, 1) a loss may reach.
    """

    def __init__(self, tasks: Sequence[str], explosion_factor: float) -> None:
        self._tasks = tuple(tasks)
        self._factor = explosion_factor
        self.first_losses: list[float] | None = None

    def losses(self, losses: Tensor) -> None:
        """Raise `Diverged` if `losses` [T] are not finite, or far above the first ones."""
        values: list[float] = losses.tolist()
        for task, loss in zip(self._tasks, values, strict=True):
            if not math.isfinite(loss):
                raise Diverged("nan", f"loss of task `{task}` is {loss}")
        if self.first_losses is None:
            self.first_losses = values
        for task, loss, first in zip(self._tasks, values, self.first_losses, strict=True):
            limit = self._factor * max(first, 1.0)
            if loss > limit:
                raise Diverged("explosion", f"loss of task `{task}` is {loss:.4g}, above {limit:.4g}")

    def gramian(self, gramian: Tensor) -> None:
        """Raise `Diverged` if `gramian` [T, T] is not finite."""
        if not _is_finite(gramian):
            raise Diverged("nan", "task gradients are not finite")

    def weights(self, weights: Weights) -> None:
        """Raise `Diverged` if a weight is not finite."""
        if not (_is_finite(weights.shared) and _is_finite(weights.heads)):
            raise Diverged("nan", f"weights are {weights.shared.tolist()}, of heads {weights.heads.tolist()}")


def _is_finite(values: Tensor) -> bool:
    """Return whether all of `values` are finite; their sum tells, and is faster than a check of each."""
    return math.isfinite(values.sum().item())
