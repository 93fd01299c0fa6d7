"""GLS: the geometric mean of the losses."""

from __future__ import annotations

from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("gls")
class GeometricLossStrategy(LossWeighting):
    """Minimises (prod_i L_i)^{1/T}: weights (prod_j L_j)^{1/T} / (T L_i).

    Deviations: the product is taken in logarithms; LibMTL's, of 40 small losses, underflows.
    """

    facts = Facts(
        paper="Chennupati, Sistu, Yogamani, Rawashdeh 2019, arXiv 1904.08492",
        scale="sum of (prod L)^{1/T} g_i / (T L_i)",
        heads="same weight",
    )
    needs_positive_losses = "always"

    def weigh(self, losses: Tensor) -> Tensor:
        return losses.log().mean().exp() / (len(losses) * losses)
