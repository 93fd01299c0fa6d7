"""IMTL: impartial in gradients (IMTL-G) and in losses (IMTL-L) at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.methods.weighting.gradient.imtl_g import impartial_weights
from mtlsweep.methods.weighting.kinds import AT_REPRESENTATION, GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("imtl")
class ImpartialWeighting(GramianWeighting):
    """IMTL-G on the scaled losses e^{s_i} L_i - s_i, whose scales s_i are trained beside the network.

    With a the IMTL-G weights of the scaled gradients e^{s_i} g_i (sum 1, may be negative), the shared
    update is sum_i a_i e^{s_i} g_i and head i follows e^{s_i} g_i. The gradient of s_i is that of its
    own scaled loss, e^{s_i} L_i - 1, as in LibMTL. In a step without a task's labels its s_i and the moments of it stay.

    Deviations: LibMTL trains s with the network's weight decay; here there is none on s.

    Args:
        start: first value of every s_i.
        learning_rate: of s; None means the network's, with its schedule.
    """

    facts = Facts(
        paper="Liu, Li, Kuang, et al. 2021, ICLR, openreview IMPnRXEWpvr",
        scale="sum of a_i e^{s_i} g_i, a = IMTL-G of e^{s_i} g_i, sum of a_i = 1",
        heads="e^{s_i}",
    )
    needs_positive_losses = "on average"
    per_task: ClassVar = {"log_scale": (0,)}
    allows = AT_REPRESENTATION

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

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        scales = torch.exp(self.log_scale.detach())
        self.log_scale.grad = scales * losses - 1.0
        impartial = torch.from_numpy(impartial_weights((scales[:, None] * gramian * scales).numpy()))
        return Weights(impartial * scales, scales)
