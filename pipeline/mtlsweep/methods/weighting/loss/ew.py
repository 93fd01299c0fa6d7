"""EW: the plain sum of the losses."""

from __future__ import annotations

import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("ew")
class EqualWeighting(LossWeighting):
    """Every task weighs 1: the update is sum_i g_i (LibMTL; TorchJD's `Mean` is 1/T of it)."""

    facts = Facts(paper="-", scale="sum of g_i", heads="1")

    def weigh(self, losses: Tensor) -> Tensor:
        return torch.ones_like(losses)
