"""One class out of several, for a whole image."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from mtlsweep.suites.tasks.target import VOID, Target
from mtlsweep.suites.tasks.task import TASKS, Metric, Task


class ClassificationEvaluator:
    """Share of right answers."""

    def __init__(self, classes: int) -> None:
        from torchmetrics.classification import MulticlassAccuracy  # slow import, of training only

        self._accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)

    def update(self, output: Tensor, target: Tensor) -> None:
        self._accuracy.to(output.device).update(output, target)

    def compute(self) -> dict[str, float]:
        return {"accuracy": float(self._accuracy.compute())}


@TASKS.register("classification")
@dataclass(frozen=True)
class Classification(Task):
    """Cross-entropy of logits [N, classes] against class indices [N].

    255 marks a row without a label; where there are more than 255 classes, -1 does.
    """

    _: KW_ONLY
    classes: Annotated[int, Field(ge=2)]

    kind: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", higher_is_better=True),)

    @property
    def target(self) -> Target | None:
        return Target(classes=self.classes, mark=VOID if self.classes <= VOID else -1)

    @property
    def outputs(self) -> int:
        return self.classes

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target)

    def evaluator(self) -> ClassificationEvaluator:
        return ClassificationEvaluator(self.classes)
