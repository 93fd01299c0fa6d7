"""IMTL-L: losses brought to one scale by learnt factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("imtl_l")
class ImpartialLosses(LossWeighting):
    """Minimises sum_i e^{s_i} L_i - s_i in the network and in the scales s_i; at the optimum e^{s_i} L_i = 1.

    In a step without a task's labels its s_i and the moments of it stay.

    Args:
        start: first value of every s_i.
        learning_rate: of s; None means the network's, with its schedule. s has no weight decay.
    """

    facts = Facts(
        paper="Liu, Li, Kuang, et al. 2021, ICLR, openreview IMPnRXEWpvr",
        scale="sum of e^{s_i} g_i",
        heads="same weight",
    )
    needs_positive_losses = "on average"
    per_task: ClassVar = {"log_scale": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        start: float = 0.0,
        learning_rate: Annotated[float, Field(gt=0)] | None = None,
    ) -> None:
        super().__init__(tasks, generator)
        self.learning_rate = learning_rate
        self.log_scale = nn.Parameter(torch.full((len(self.tasks),), start, dtype=torch.float64))

    def weigh(self, losses: Tensor) -> Tensor:
        scales = torch.exp(self.log_scale.detach())
        self.log_scale.grad = scales * losses - 1.0
        return scales
