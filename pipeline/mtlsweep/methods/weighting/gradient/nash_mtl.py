"""Nash-MTL: the bargaining solution among tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.bargaining import fair_weights
from mtlsweep.methods.weighting.solvers.clipping import clip_update
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("nash_mtl")
class NashMTL(GramianWeighting):
    """Weights a > 0 with M a = 1 / a; then the norm of the shared update is clipped to `max_norm`.

    At the solution the update has norm sqrt(T), so the default clips always: the shared update has
    norm 1 and heads follow their unclipped a_i g_i, as in the official code and LibMTL.

    Deviations: solved to 1e-10 by Newton steps; the official code, LibMTL and TorchJD linearise a
    non-convex form, stop at 1e-3, start from the last step's weights and keep those if ECOS fails.

    Args:
        max_norm: of the shared update; 0 means no clipping.
    """

    facts = Facts(
        paper="Navon, Shamsian, Achituve, et al. 2022, arXiv 2202.01017",
        scale="sum of a_i g_i, M a = 1 / a, then norm clipped to 1",
        heads="a_i, not clipped",
        non_conflicting=True,
        code="https://github.com/AvivNavon/nash-mtl",
    )

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        max_norm: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._max_norm = max_norm

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        weights = torch.from_numpy(fair_weights(gramian.numpy(), 1.0))
        return Weights(clip_update(weights, gramian, self._max_norm), weights)
