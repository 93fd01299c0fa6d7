"""Whether a whole image has a property."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlsweep.suites.tasks.target import VOID, Target
from mtlsweep.suites.tasks.task import TASKS, Metric, Task


class AttributeEvaluator:
    """Counts of right and wrong answers, from which every metric follows.

    `f1` is 0 when there are positives but none was found, and NaN when there are no positives and
    none was predicted; `balanced_accuracy` is NaN when a class has no example.
    """

    def __init__(self) -> None:
        self._counts = torch.zeros(2, 2, dtype=torch.int64)  # [target, prediction]

    def update(self, output: Tensor, target: Tensor) -> None:
        predicted = (output.squeeze(1) > 0).long()
        counts = torch.bincount(2 * target + predicted, minlength=4).view(2, 2)
        self._counts = self._counts.to(output.device) + counts

    def compute(self) -> dict[str, float]:
        (true_negative, false_positive), (false_negative, true_positive) = self._counts.tolist()
        negative, positive = true_negative + false_positive, false_negative + true_positive
        return {
            "accuracy": _share(true_positive + true_negative, negative + positive),
            "balanced_accuracy": (_share(true_positive, positive) + _share(true_negative, negative)) / 2,
            "f1": _share(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        }


@TASKS.register("attribute")
@dataclass(frozen=True)
class Attribute(Task):
    """Binary cross-entropy of a logit [N, 1] against 0 or 1 [N]; 255 marks a row without a label.

    Only `accuracy` counts in Delta_m, as in the study; for rare attributes look at the other two.
    """

    kind: ClassVar[str] = "attribute"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", higher_is_better=True),
        Metric("balanced_accuracy", higher_is_better=True, in_delta_m=False),
        Metric("f1", higher_is_better=True, in_delta_m=False),
    )

    @property
    def target(self) -> Target | None:
        return Target(classes=2, mark=VOID)

    @property
    def outputs(self) -> int:
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output.squeeze(1), target.to(output.dtype))

    def evaluator(self) -> AttributeEvaluator:
        return AttributeEvaluator()


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
