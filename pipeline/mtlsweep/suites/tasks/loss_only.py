"""The evaluator of tasks that have a loss and nothing else."""

from __future__ import annotations

from torch import Tensor


class NoMetrics:
    """Measures nothing."""

    def update(self, output: Tensor, target: Tensor) -> None:
        """Take nothing in."""

    def compute(self) -> dict[str, float]:
        """Return nothing."""
        return {}
