"""ConsMTL: heads, too, are trained to make the tasks' gradients agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import HeadAligningWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.bargaining import fair_weights
from mtlsweep.methods.weighting.solvers.clipping import clip_update
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("cons_mtl")
class ConsMTL(HeadAligningWeighting):
    """The update T sum_i w_i g_i, M w = w^{-1/2} (FairGrad, alpha = 2), its norm clipped to `max_norm`.

    Head i follows the gradient of L_i and, in addition, that of -pull <delta_i, delta>, where delta_i is the gradient
    of L_i at the representation and delta = sum_j w_j delta_j is held fixed; the addition is clipped to 0.1 times the
    norm of the first. Class `ConsMTL` of the official code, variants for one representation (CelebA, QM9)
    and for several (Cityscapes, NYUv2), which are the same here.

    Deviations: w is solved by Newton steps; the official code runs a generic least-squares fit from equal weights.

    Args:
        pull: weight of the heads' addition, before it is clipped.
        max_norm: of the shared update; 0 means no clipping.
    """

    facts = Facts(
        paper="Qin, Wang, Yan 2025, CVPR, Towards Consistent Multi-Task Learning",
        scale="T sum of w_i g_i, M w = w^{-1/2}, then norm clipped to 1",
        heads="1, and a pull to the joint update",
        non_conflicting=True,
        code="https://github.com/jianke0604/MTLlib",
    )

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        pull: Annotated[float, Field(ge=0)] = 1.0,
        max_norm: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        super().__init__(tasks, generator)
        self.pull, self.longest = pull, 0.1
        self._max_norm = max_norm

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        self.agreement = torch.from_numpy(fair_weights(gramian.numpy(), 0.5))
        shared = clip_update(len(losses) * self.agreement, gramian, self._max_norm)
        return Weights(shared, torch.ones_like(losses))
