"""DualProj: the mean gradient, projected onto the cone of directions that conflict with no task."""

from __future__ import annotations

import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.dual_cone import project_onto_dual_cone
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("dual_proj")
class DualProj(GramianWeighting):
    """The projection of gbar onto {d : <g_j, d> >= 0 for all j}: the nearest direction that conflicts with no task.

    GEM's quadratic program with the tasks' gradients in place of those of a memory, as
    TorchJD reads it. UPGrad projects each g_i and takes the mean afterwards.

    Deviation: TorchJD adds 1e-4 of the trace to the diagonal for its solver; here nothing is added.
    """

    facts = Facts(
        paper="Lopez-Paz, Ranzato 2017, arXiv 1706.08840",
        scale="projected mean of g_i",
        heads="1",
        non_conflicting=True,
        code="https://github.com/facebookresearch/GradientEpisodicMemory",
    )

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        mean = torch.full((1, len(losses)), 1.0 / len(losses), dtype=torch.float64)
        shared = project_onto_dual_cone(gramian.numpy(), mean.numpy())[0]
        return Weights(torch.from_numpy(shared), torch.ones_like(losses))
