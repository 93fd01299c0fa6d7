"""One class at every pixel."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from mtlsweep.suites.tasks.target import VOID, Target
from mtlsweep.suites.tasks.task import TASKS, Metric, Task


class SegmentationEvaluator:
    """Both metrics from one confusion matrix over the split.

    `miou` is the mean over the classes that are in the target or in the prediction. (MTAN's code
    divides by zero for a class that is in neither.)
    """

    def __init__(self, classes: int) -> None:
        from torchmetrics.classification import MulticlassConfusionMatrix  # slow import, of training only

        self._confusion = MulticlassConfusionMatrix(classes, ignore_index=VOID, validate_args=False)

    def update(self, output: Tensor, target: Tensor) -> None:
        self._confusion.to(output.device).update(output.argmax(dim=1), target)

    def compute(self) -> dict[str, float]:
        matrix = self._confusion.compute().double()
        hits, pixels = matrix.diagonal(), matrix.sum()
        if not pixels:
            return {"miou": math.nan, "pixel_accuracy": math.nan}
        union = matrix.sum(dim=0) + matrix.sum(dim=1) - hits
        there = union > 0
        return {"miou": float((hits[there] / union[there]).mean()), "pixel_accuracy": float(hits.sum() / pixels)}


@TASKS.register("segmentation")
@dataclass(frozen=True)
class Segmentation(Task):
    """Cross-entropy of logits [N, classes, H, W] against class indices [N, H, W], mean over pixels not void (255)."""

    _: KW_ONLY
    classes: Annotated[int, Field(ge=2, le=VOID)]

    kind: ClassVar[str] = "segmentation"
    dense: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("miou", higher_is_better=True),
        Metric("pixel_accuracy", higher_is_better=True),
    )

    @property
    def target(self) -> Target | None:
        return Target(layout=("H", "W"), classes=self.classes, mark=VOID)

    @property
    def outputs(self) -> int:
        return self.classes

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        total = F.cross_entropy(output, target, ignore_index=VOID, reduction="sum")
        return total / torch.count_nonzero(target != VOID).clamp(min=1)

    def evaluator(self) -> SegmentationEvaluator:
        return SegmentationEvaluator(self.classes)
