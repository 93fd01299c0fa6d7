"""RLW: weights drawn anew every step."""

from __future__ import annotations

import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("rlw")
class RandomLossWeighting(LossWeighting):
    """Weights are the softmax of T independent standard normal draws; they sum to 1."""

    facts = Facts(
        paper="Lin, Ye, Zhang, Tsang 2022, arXiv 2111.10603",
        scale="sum of w_i g_i, w = softmax of N(0, 1) draws, sum 1",
        heads="same weight",
        code="https://github.com/median-research-group/LibMTL",
    )

    def weigh(self, losses: Tensor) -> Tensor:
        return torch.randn(len(losses), generator=self.generator, dtype=torch.float64).softmax(0)
