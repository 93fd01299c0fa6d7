"""Detects that a trial has diverged, and says why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from torch import Tensor

from mtlsweep.methods.weighting import Weights
from mtlsweep.methods.weighting.weighting import PositiveLosses

SMALLEST_LOSS = 1e-18
"""A loss below this counts as 0: in float32 it is rounding, and a weight 1 / loss would be 1e18 and more."""


class Diverged(Exception):  # noqa: N818 - an outcome, not an error
    """Training has diverged.

    Attributes:
        cause: `nan` (a loss, product of gradients or weight is not finite, or a solver gave up on it),
            `explosion` (a loss far above where it started) or `nonpositive` (a loss is 0 or negative and
            the weighting needs positive ones).
        detail: which task or number, and its value.
    """

    def __init__(self, cause: Literal["nan", "explosion", "nonpositive"], detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class DivergenceCheck:
    """Remembers each task's first loss; all values it checks are already on the host.

    Args:
        tasks: names of the T tasks.
        explosion_factor: how many times max(first loss, 1) a loss may reach.
        weighting: its name, for messages.
        needs_positive_losses: see `Weighting`.
    """

    def __init__(
        self, tasks: Sequence[str], explosion_factor: float, weighting: str, needs_positive_losses: PositiveLosses
    ) -> None:
        self._tasks = tuple(tasks)
        self._factor = explosion_factor
        self._weighting, self._needs_positive = weighting, needs_positive_losses
        self.first_losses: list[float] | None = None

    @contextmanager
    def only(self, present: Sequence[int]) -> Iterator[None]:
        """Within, check the tasks at the positions `present` alone; the first loss of another is its first one later."""
        tasks, first = self._tasks, self.first_losses
        whole = [math.nan] * len(tasks) if first is None else first
        self._tasks = tuple(tasks[position] for position in present)
        self.first_losses = [whole[position] for position in present]
        try:
            yield
        finally:
            for position, loss in zip(present, self.first_losses, strict=True):
                whole[position] = loss
            self._tasks, self.first_losses = tasks, whole

    def losses(self, losses: Tensor) -> None:
        """Raise `Diverged` if `losses` [T] are not finite, not what the weighting needs, or far above the first ones."""
        values: list[float] = losses.tolist()
        for task, loss in zip(self._tasks, values, strict=True):
            if not math.isfinite(loss):
                raise Diverged("nan", f"loss of task `{task}` is {loss}")
        self.positive(losses)
        earlier = self.first_losses or [math.nan] * len(values)
        self.first_losses = [loss if math.isnan(first) else first for loss, first in zip(values, earlier, strict=True)]
        for task, loss, first in zip(self._tasks, values, self.first_losses, strict=True):
            limit = self._factor * max(first, 1.0)
            if loss > limit:
                raise Diverged("explosion", f"loss of task `{task}` is {loss:.4g}, above {limit:.4g}")

    def positive(self, losses: Tensor) -> None:
        """Raise `Diverged` if the weighting needs positive losses in every batch and one of `losses` [T] is not."""
        if self._needs_positive == "always":
            self._check_positive("loss", losses)

    def mean_losses(self, losses: Tensor) -> None:
        """Raise `Diverged` if the weighting needs positive losses and one of an epoch's means `losses` [T] is not."""
        if self._needs_positive != "never":
            self._check_positive("mean loss over the epoch", losses)

    def _check_positive(self, what: str, losses: Tensor) -> None:
        for task, loss in zip(self._tasks, losses.tolist(), strict=True):
            if loss < SMALLEST_LOSS:
                raise Diverged(
                    "nonpositive",
                    f"{what} of task `{task}` is {loss:.4g}, and weighting `{self._weighting}` needs it above 0: add a "
                    "constant to the loss (no gradient changes), use larger batches if one may hold no label, or choose "
                    "another weighting",
                )

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
