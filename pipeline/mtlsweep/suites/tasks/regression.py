"""One number for a whole image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlsweep.suites.tasks.target import Target
from mtlsweep.suites.tasks.task import TASKS, Metric, Task

NO_SPREAD = 1e-4


class RegressionEvaluator:
    """Mean absolute error and the share of variance explained, summed in float64.

    A sum of squares below `NO_SPREAD` counts as zero: R2 is 1 for a residual of zero, else 0 where targets do not vary.
    """

    def __init__(self) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64)  # of |error|, error^2, target, target^2
        self._rows = 0

    def update(self, output: Tensor, target: Tensor) -> None:
        wanted = target.double()
        error = wanted - output.squeeze(1).double()
        sums = [each.sum() for each in (error.abs(), error * error, wanted, wanted * wanted)]
        self._sums = self._sums.to(output.device) + torch.stack(sums)
        self._rows += len(target)

    def compute(self) -> dict[str, float]:
        absolute, residual, total, squares = self._sums.tolist()
        if self._rows < 2:  # one value has no variance
            return {"mae": absolute / self._rows if self._rows else math.nan, "r2": math.nan}
        return {"mae": absolute / self._rows, "r2": _r2(residual, squares - total * (total / self._rows))}


def _r2(residual: float, spread: float) -> float:
    """Return 1 - residual / spread, both sums of squares."""
    if abs(residual) <= NO_SPREAD:
        return 1.0
    return 0.0 if abs(spread) <= NO_SPREAD else 1 - residual / spread


@TASKS.register("regression")
@dataclass(frozen=True)
class Regression(Task):
    """Mean squared error of a number [N, 1] against a number [N].

    `r2` stays out of Delta_m: it may be near zero, where a relative change means nothing.
    """

    kind: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mae", higher_is_better=False),
        Metric("r2", higher_is_better=True, in_delta_m=False),
    )

    @property
    def target(self) -> Target | None:
        return Target()

    @property
    def outputs(self) -> int:
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output.squeeze(1), target)

    def evaluator(self) -> RegressionEvaluator:
        return RegressionEvaluator()
