"""When a trial has left the finite world, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from pipeline.weighting import Weights


class Diverged(Exception):  # noqa: N818 - an outcome, not an error
    """Training has left the finite world.

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
    """Knows where each task's loss started; everything it sees is on the host already.

    Args:
        tasks: names of the T tasks.
        explosion_factor: how many times max(first loss, 1) a loss may reach.
    """

    def __init__(self, tasks: Sequence[str], explosion_factor: float) -> None:
        self._tasks = tuple(tasks)
        self._factor = explosion_factor
        self.first_losses: Tensor | None = None

    def losses(self, losses: Tensor) -> None:
        """Raise `Diverged` if `losses` [T] are not finite, or far above the first ever seen."""
        if self.first_losses is None and bool(losses.isfinite().all()):
            self.first_losses = losses.clone()
        if self.first_losses is None or not bool((losses <= self._factor * self.first_losses.clamp(min=1.0)).all()):
            raise self._reason(losses)

    def gramian(self, gramian: Tensor) -> None:
        """Raise `Diverged` if `gramian` [T, T] is not finite."""
        if not bool(gramian.isfinite().all()):
            raise Diverged("nan", "task gradients are not finite")

    def weights(self, weights: Weights) -> None:
        """Raise `Diverged` if a weight is not finite."""
        if not bool((weights.shared.sum() + weights.heads.sum()).isfinite()):
            raise Diverged("nan", f"weights are {weights.shared.tolist()}, of heads {weights.heads.tolist()}")

    def _reason(self, losses: Tensor) -> Diverged:
        for index, task in enumerate(self._tasks):
            if not bool(losses[index].isfinite()):
                return Diverged("nan", f"loss of task `{task}` is {losses[index].item()}")
        assert self.first_losses is not None
        limits = self._factor * self.first_losses.clamp(min=1.0)
        index = int((losses > limits).nonzero()[0])
        return Diverged(
            "explosion",
            f"loss of task `{self._tasks[index]}` is {losses[index].item():.4g}, above {limits[index].item():.4g}",
        )
