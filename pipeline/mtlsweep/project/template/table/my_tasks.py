"""An example of a kind of task of one's own: a positive number that is wrong by a share of itself, not by an amount.

params.yaml names it `my_tasks:Relative`. Its source is part of what a trial's key follows: edit it, and `dvc repro` trains
again what uses it.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mtlsweep.suites.tasks import Metric, Target, Task


class RelativeEvaluator:
    """Collects errors over a whole split, batch by batch."""

    def __init__(self, typical: float) -> None:
        self._typical, self._errors, self._rows = typical, 0.0, 0

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add a batch."""
        predicted = self._typical * output.squeeze(1).double().exp()
        self._errors += float((predicted / target.double() - 1).abs().sum())
        self._rows += len(target)

    def compute(self) -> dict[str, float]:
        """Return the mean relative error in percent; NaN without a row."""
        return {"relative_error": 100 * self._errors / self._rows if self._rows else math.nan}


@dataclass(frozen=True)
class Relative(Task):
    """Squared error of log(number / typical) [N, 1] against a number above 0 [N]; NaN marks a row without a label."""

    _: KW_ONLY
    typical: float = 1.0  # an option, because it is given by name

    metrics: ClassVar[tuple[Metric, ...]] = (Metric("relative_error", higher_is_better=False),)

    @property
    def target(self) -> Target:
        """`prepare` refuses what a column of targets may not hold."""
        return Target(low=1e-9, mark=math.nan)

    @property
    def outputs(self) -> int:
        """Numbers that a head gives."""
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the batch; rows without a label are not in it."""
        return (output.squeeze(1) - torch.log(target / self.typical)).square().mean()

    def evaluator(self) -> RelativeEvaluator:
        """Return an empty evaluator of `metrics`."""
        return RelativeEvaluator(self.typical)
