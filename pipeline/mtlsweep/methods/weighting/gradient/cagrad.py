"""CAGrad: the update near the mean gradient that helps most the task that gains least."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.simplex import conflict_averse_weights
from mtlsweep.methods.weighting.weighting import Facts, Weights

_STATIONARY = 1e-5
"""|g_w| below this share of sum_i w_i |g_i| is rounding of float32 gradients, not a direction."""


@WEIGHTINGS.register("cagrad")
class CAGrad(GramianWeighting):
    """max over d of min_i <g_i, d> with |d - gbar| <= c |gbar|, gbar the mean gradient.

    Its dual is w* = argmin over the simplex of <g_w, gbar> + c |gbar| |g_w|, solved exactly here; with
    lambda = c |gbar| / |g_w*| the update is gbar + lambda g_w*, divided by 1 + c^2 (`rescale` 1, as in
    the official code and LibMTL), by 1 + c (2), or by nothing (0, the paper's text and TorchJD).

    Deviations: where |g_w*| vanishes (Pareto stationary) TorchJD returns no update; the official code
    and LibMTL add 1e-8 to the denominator; here |g_w*| counts as at least 1e-5 of its parts' length,
    so the update tends to gbar. The official code solves with SLSQP, TorchJD with Clarabel.

    Args:
        c: radius of the ball; the paper uses 0.4 for dense tasks and its own base 0.5.
        rescale: what the update is divided by.
    """

    facts = Facts(
        paper="Liu, Liu, Jin, Stone, Liu 2021, arXiv 2110.14048",
        scale="(gbar + lambda g_w) / (1 + c^2)",
        heads="1",
        code="https://github.com/Cranial-XIX/CAGrad",
    )

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        c: Annotated[float, Field(ge=0)] = 0.5,
        rescale: Literal[0, 1, 2] = 1,
    ) -> None:
        super().__init__(tasks, generator)
        self._c = c
        self._divisor = (1.0, 1.0 + c**2, 1.0 + c)[rescale]

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        products = gramian.numpy()
        simplex = conflict_averse_weights(products, self._c)
        length = np.sqrt(max(simplex @ products @ simplex, 0.0))
        length = max(length, _STATIONARY * (simplex @ np.sqrt(products.diagonal())))
        multiplier = self._c * np.sqrt(max(products.mean(), 0.0)) / length if length > 0 else 0.0
        shared = (1.0 / len(losses) + multiplier * simplex) / self._divisor
        return Weights(torch.from_numpy(shared), torch.ones_like(losses))
