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


class RegressionEvaluator:
    """Mean absolute error and the share of variance explained, summed in float64."""

    def __init__(self) -> None:
        from torchmetrics.regression import MeanAbsoluteError, R2Score  # slow import, of training only

        self._mae = MeanAbsoluteError().set_dtype(torch.float64)
        self._r2 = R2Score().set_dtype(torch.float64)
        self._rows = 0

    def update(self, output: Tensor, target: Tensor) -> None:
        predicted, wanted = output.squeeze(1).double(), target.double()
        self._mae.to(output.device).update(predicted, wanted)
        self._r2.to(output.device).update(predicted, wanted)
        self._rows += len(target)

    def compute(self) -> dict[str, float]:
        r2 = float(self._r2.compute()) if self._rows >= 2 else math.nan  # one value has no variance
        return {"mae": float(self._mae.compute()) if self._rows else math.nan, "r2": r2}


@TASKS.register("regression")
@dataclass(frozen=True)
class Regression(Task):
    """Mean squared error of a number [N, 1] against a number [N]; NaN marks a row without a label.

    `r2` stays out of Delta_m: it may be near zero, where a relative change means nothing.
    """

    kind: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mae", higher_is_better=False),
        Metric("r2", higher_is_better=True, in_delta_m=False),
    )

    @property
    def target(self) -> Target | None:
        return Target(mark=math.nan)

    @property
    def outputs(self) -> int:
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output.squeeze(1), target)

    def evaluator(self) -> RegressionEvaluator:
        return RegressionEvaluator()
