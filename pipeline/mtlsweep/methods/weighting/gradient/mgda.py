"""MGDA: the shortest convex combination of the task gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import AT_REPRESENTATION, GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.simplex import minimum_norm_weights
from mtlsweep.methods.weighting.weighting import Facts, Weights

_SMALLEST = 1e-20
"""What a task's gradient is divided by, at least: the length of a gradient may be 0."""


@WEIGHTINGS.register("mgda")
class MGDA(GramianWeighting):
    """w = argmin over the simplex of |sum_i w_i g_i|, solved exactly by an active set.

    Deviations: the official code, LibMTL and TorchJD stop an iteration (Frank-Wolfe, projected
    descent) after 100 to 250 steps, short of the minimum; with equal weights of all tasks at the start
    their result is then biased towards those. With `normalize`, w is found for the gradients g_i / n_i and, as
    in LibMTL, applied to them: weights w_i / n_i.

    Args:
        normalize: n_i: 1 (`none`), |g_i| (`l2`), L_i (`loss`), L_i |g_i| (`loss+`, the official default).
    """

    facts = Facts(
        paper="Sener, Koltun 2018, arXiv 1810.04650 (Desideri 2012)",
        scale="sum of w_i g_i, sum of w_i = 1",
        heads="1",
        non_conflicting=True,
        code="https://github.com/isl-org/MultiObjectiveOptimization",
    )
    allows = AT_REPRESENTATION

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        normalize: Literal["none", "l2", "loss", "loss+"] = "none",
    ) -> None:
        super().__init__(tasks, generator)
        self._normalize = normalize
        if normalize in ("loss", "loss+"):
            self.needs_positive_losses = "always"

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        ones = torch.ones_like(losses)
        if self._normalize == "none":
            return Weights(torch.from_numpy(minimum_norm_weights(gramian.numpy())), ones)
        divisors = ones
        if self._normalize in ("l2", "loss+"):
            divisors = divisors * gramian.diagonal().sqrt()
        if self._normalize in ("loss", "loss+"):
            divisors = divisors * losses
        divisors = divisors.clamp(min=_SMALLEST)
        normalized = gramian / divisors[:, None] / divisors
        shared = torch.from_numpy(minimum_norm_weights(normalized.numpy())) / divisors
        return Weights(shared, ones)
