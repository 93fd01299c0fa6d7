"""FairGrad: alpha-fair sharing of the loss decrease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.bargaining import fair_weights
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("fairgrad")
class FairGrad(GramianWeighting):
    """Weights w > 0 with M w = w^{-1/alpha}: the update maximises sum_i <g_i, d>^{1-alpha} / (1-alpha).

    Deviations: solved by Newton steps on a convex form; the official code, LibMTL and TorchJD run a
    generic least-squares fit of the equation from equal weights. Heads follow w as in LibMTL; in the official code
    they follow their own gradient, and the shared update is multiplied by T and clipped to norm 1.

    Args:
        alpha: at least 0.25; 1 is proportional fairness (Nash-MTL without its clipping); large values help the task
            that gains least.
    """

    facts = Facts(
        paper="Ban, Ji 2024, arXiv 2402.15638",
        scale="sum of w_i g_i, M w = w^{-1/alpha}",
        heads="same weight",
        non_conflicting=True,
        code="https://github.com/OptMN-Lab/fairgrad",
    )

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        alpha: Annotated[float, Field(ge=0.25)] = 1.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._alpha = alpha

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        weights = torch.from_numpy(fair_weights(gramian.numpy(), 1.0 / self._alpha))
        return Weights(weights, weights)
