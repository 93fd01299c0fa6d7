"""A distance, or an inverse distance, at every pixel."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mtlsweep.suites.tasks.target import Target
from mtlsweep.suites.tasks.task import TASKS, Metric, Task, mean_over_valid


class DepthEvaluator:
    """Mean absolute and mean relative error over all valid pixels of the split, summed in float64."""

    def __init__(self) -> None:
        from torchmetrics.regression import (
            MeanAbsoluteError,
            MeanAbsolutePercentageError,
        )  # slow import, of training only

        self._absolute = MeanAbsoluteError().set_dtype(torch.float64)
        self._relative = MeanAbsolutePercentageError().set_dtype(torch.float64)  # a share in spite of its name

    def update(self, output: Tensor, target: Tensor) -> None:
        valid = target > 0
        predicted, wanted = output.squeeze(1)[valid].double(), target[valid].double()
        if len(wanted):
            self._absolute.to(output.device).update(predicted, wanted)
            self._relative.to(output.device).update(predicted, wanted)

    def compute(self) -> dict[str, float]:
        if not self._absolute.update_called:
            return {"abs_err": float("nan"), "rel_err": float("nan")}
        return {"abs_err": float(self._absolute.compute()), "rel_err": float(self._relative.compute())}


@TASKS.register("depth")
@dataclass(frozen=True)
class Depth(Task):
    """L1 distance of [N, 1, H, W] to a positive [N, H, W], mean over valid pixels; 0 marks an invalid one.

    `inverse: true` says that the target is an inverse depth or a disparity: it grows when objects come
    nearer, and augmentation must know this.
    """

    _: KW_ONLY
    inverse: bool = False

    kind: ClassVar[str] = "depth"
    dense: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("abs_err", higher_is_better=False),
        Metric("rel_err", higher_is_better=False),
    )

    @property
    def target(self) -> Target | None:
        return Target(layout=("H", "W"), low=0, mark=0)

    @property
    def outputs(self) -> int:
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return mean_over_valid((output.squeeze(1) - target).abs(), target > 0)

    def evaluator(self) -> DepthEvaluator:
        return DepthEvaluator()
