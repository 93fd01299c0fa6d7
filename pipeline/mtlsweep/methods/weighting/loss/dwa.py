"""DWA: tasks whose loss falls slowly weigh more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("dwa")
class DynamicWeightAverage(LossWeighting):
    """Weights T softmax_i(L_i(e-1) / L_i(e-2) / temperature), from mean losses of the two epochs before.

    All weights are 1 in the first two epochs. An epoch without a label of a task does not count for it, and in its first two
    all weights are 1, too.

    Args:
        temperature: large values give equal weights; the paper uses 2.
    """

    facts = Facts(
        paper="Liu, Johns, Davison 2019, arXiv 1803.10704",
        scale="sum of w_i g_i, w = T softmax(L_i(e-1) / L_i(e-2) / 2)",
        heads="same weight",
        code="https://github.com/lorenmt/mtan",
    )
    needs_positive_losses = "on average"
    per_task: ClassVar = {"means": (1,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        temperature: Annotated[float, Field(gt=0)] = 2.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._temperature = temperature
        self.register_buffer("means", torch.full((2, len(tasks)), math.nan, dtype=torch.float64))
        self.means: Tensor  # of the last epoch but one, and of the last

    def weigh(self, losses: Tensor) -> Tensor:
        earlier, later = self.means
        if earlier.isnan().any():
            return torch.ones_like(losses)
        return len(losses) * (later / earlier / self._temperature).softmax(0)

    def end_epoch(self, losses: Tensor) -> None:
        self.means = torch.stack((self.means[1], losses))
