"""The direction of the surface at every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlsweep.suites.tasks.target import Target
from mtlsweep.suites.tasks.task import TASKS, Metric, Task, mean_over_valid

THRESHOLDS = {"within_11_25": 11.25, "within_22_5": 22.5, "within_30": 30.0}
"""Metric name -> degrees; the share of valid pixels whose angle is smaller."""

HISTOGRAM_BINS = 2**18


class NormalsEvaluator:
    """Angles in degrees over all valid pixels of the split.

    The median comes from a histogram with bins of 180 / 2^18 degrees (0.0007), interpolated within the
    bin: NYUv2's test split has 72 million angles, too many to keep for sorting.
    """

    def __init__(self) -> None:
        self._histogram = torch.zeros(HISTOGRAM_BINS, dtype=torch.int64)
        self._sum = torch.zeros((), dtype=torch.float64)
        self._within = torch.zeros(len(THRESHOLDS), dtype=torch.int64)

    def update(self, output: Tensor, target: Tensor) -> None:
        angles = angles_in_degrees(output, target)[is_valid(target)]
        bins = (angles * (HISTOGRAM_BINS / 180)).long().clamp(0, HISTOGRAM_BINS - 1)
        self._histogram = self._histogram.to(output.device) + torch.bincount(bins, minlength=HISTOGRAM_BINS)
        self._sum = self._sum.to(output.device) + angles.sum(dtype=torch.float64)
        within = [torch.count_nonzero(angles < threshold) for threshold in THRESHOLDS.values()]
        self._within = self._within.to(output.device) + torch.stack(within)

    def compute(self) -> dict[str, float]:
        pixels = int(self._histogram.sum())
        if not pixels:
            return {"mean_angle": math.nan, "median_angle": math.nan, **dict.fromkeys(THRESHOLDS, math.nan)}
        shares = {name: count / pixels for name, count in zip(THRESHOLDS, self._within.tolist(), strict=True)}
        return {"mean_angle": float(self._sum) / pixels, "median_angle": self._median(pixels), **shares}

    def _median(self, pixels: int) -> float:
        if not math.isfinite(self._sum):  # an output was NaN or infinite, which the histogram cannot hold
            return math.nan
        cumulative = self._histogram.cumsum(0)
        index = int(torch.searchsorted(cumulative, torch.tensor(pixels / 2, device=cumulative.device)))
        in_bin = int(self._histogram[index])
        below = int(cumulative[index]) - in_bin
        return (index + (pixels / 2 - below) / in_bin) * 180 / HISTOGRAM_BINS


@TASKS.register("normals")
@dataclass(frozen=True)
class Normals(Task):
    """1 - cosine of the angle between two directions [N, 3, H, W], mean over valid pixels.

    Output and target need not have length 1; a target of (0, 0, 0) is invalid.
    """

    kind: ClassVar[str] = "normals"
    dense: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mean_angle", higher_is_better=False),
        Metric("median_angle", higher_is_better=False),
        *(Metric(name, higher_is_better=True) for name in THRESHOLDS),
    )

    @property
    def target(self) -> Target | None:
        return Target(layout=(3, "H", "W"), mark=0)

    @property
    def outputs(self) -> int:
        return 3

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return mean_over_valid(1 - F.cosine_similarity(output, target, dim=1), is_valid(target))

    def evaluator(self) -> NormalsEvaluator:
        return NormalsEvaluator()


def is_valid(target: Tensor) -> Tensor:
    """Return where [N, H, W] a target [N, 3, H, W] has a direction."""
    return (target != 0).any(dim=1)


def angles_in_degrees(output: Tensor, target: Tensor) -> Tensor:
    """Return the angles [N, H, W] between directions [N, 3, H, W]; exact near 0 and 180, unlike arccos."""
    one, other = F.normalize(output, dim=1), F.normalize(target, dim=1)
    return torch.rad2deg(2 * torch.atan2((one - other).norm(dim=1), (one + other).norm(dim=1)))
