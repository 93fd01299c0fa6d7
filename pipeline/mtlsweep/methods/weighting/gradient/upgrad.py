"""UPGrad: each gradient projected onto the cone of directions that conflict with no task."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.dual_cone import project_onto_dual_cone
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("upgrad")
class UPGrad(GramianWeighting):
    """The mean over i of the projection of g_i onto {d : <g_j, d> >= 0 for all j}.

    The projection of g_i is g_i + sum_j y_j g_j with y >= 0 of least norm: a non-negative least
    squares problem on a square root of the Gramian.

    Deviations: TorchJD and LibMTL add 1e-4 of the trace to the diagonal for their QP solver; here
    nothing is added.
    """

    facts = Facts(
        paper="Quinton, Rey 2024, arXiv 2406.16232",
        scale="sum of projected g_i, over T",
        heads="1",
        non_conflicting=True,
        code="https://github.com/TorchJD/torchjd",
    )

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        shared = project_onto_dual_cone(gramian.numpy(), np.eye(len(losses))).mean(axis=0)
        return Weights(torch.from_numpy(shared), torch.ones_like(losses))
