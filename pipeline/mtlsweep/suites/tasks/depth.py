"""A distance, or an inverse distance, at every pixel."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mtlsweep.suites.tasks.target import Target
from mtlsweep.suites.tasks.task import TASKS, Metric, Task, mean_over_valid

LEAST_DIVISOR = 1.17e-6
"""scikit-learn's: keeps the relative error of a tiny depth finite."""


class DepthEvaluator:
    """Mean absolute and mean relative error over all valid pixels of the split, summed in float64."""

    def __init__(self) -> None:
        self._sums = torch.zeros(2, dtype=torch.float64)  # of |error|, |error| / target
        self._pixels = 0

    def update(self, output: Tensor, target: Tensor) -> None:
        valid = target > 0
        wanted = target[valid].double()
        error = (output.squeeze(1)[valid].double() - wanted).abs()
        sums = [each.sum() for each in (error, error / wanted.clamp(min=LEAST_DIVISOR))]
        self._sums = self._sums.to(output.device) + torch.stack(sums)
        self._pixels += len(wanted)

    def compute(self) -> dict[str, float]:
        absolute, relative = self._sums.tolist()
        if not self._pixels:
            return {"abs_err": math.nan, "rel_err": math.nan}
        return {"abs_err": absolute / self._pixels, "rel_err": relative / self._pixels}


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
        return Target(layout=("H", "W"), low=0)

    @property
    def outputs(self) -> int:
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return mean_over_valid((output.squeeze(1) - target).abs(), target > 0)

    def evaluator(self) -> DepthEvaluator:
        return DepthEvaluator()
