"""UW-SO: the softmax of UW-O's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("uw_so")
class SoftOptimalUncertaintyWeighting(LossWeighting):
    """Weights softmax_i((1 / L_i) / temperature), L_i detached; they sum to 1.

    Args:
        temperature: the paper tunes it for each dataset; large values give equal weights.
    """

    facts = Facts(
        paper="Kirchdorfer, Elich, Kutsche, et al. 2024, arXiv 2408.07985",
        scale="sum of w_i g_i, w = softmax of 1 / (L_i temperature), sum 1",
        heads="same weight",
    )
    needs_positive_losses = "always"

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        temperature: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._temperature = temperature

    def weigh(self, losses: Tensor) -> Tensor:
        return (losses.reciprocal() / self._temperature).softmax(0)
