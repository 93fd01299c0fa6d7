"""UW-O: uncertainty weighting with each uncertainty at its optimum."""

from __future__ import annotations

from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("uw_o")
class OptimalUncertaintyWeighting(LossWeighting):
    """Weights 1 / L_i, L_i detached: UW's optimum for a Laplace likelihood, up to a constant.

    Scaling any loss changes no update at all.
    """

    facts = Facts(
        paper="Kirchdorfer, Elich, Kutsche, et al. 2024, arXiv 2408.07985",
        scale="sum of g_i / L_i",
        heads="same weight",
    )
    needs_positive_losses = "always"

    def weigh(self, losses: Tensor) -> Tensor:
        return losses.reciprocal()
