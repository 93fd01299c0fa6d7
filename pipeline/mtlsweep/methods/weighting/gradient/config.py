"""ConFIG: a direction with equal cosine to every task gradient."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("config")
class ConFIG(GramianWeighting):
    """The unit vector u along pinv([g_1/|g_1|, ...]) 1, times sum_i <g_i, u>.

    With U the unit gradients as rows, pinv(U) 1 = U^T pinv(U U^T) 1, so the Gramian is enough. TorchJD
    and the official code take the pseudo-inverse of the T x P matrix.
    """

    facts = Facts(
        paper="Liu, Chu, Thuerey 2025, arXiv 2408.11104",
        scale="sum of <g_i, u> u, u the conflict-free unit direction",
        heads="1",
        non_conflicting=True,
        code="https://github.com/tum-pbs/ConFIG",
    )

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        return Weights(torch.from_numpy(conflict_free_weights(gramian.numpy())), torch.ones_like(losses))


def conflict_free_weights(gramian: np.ndarray) -> np.ndarray:
    """Return ConFIG's weights [T]; zeros if no direction is left."""
    norms = np.sqrt(gramian.diagonal())
    inverse = np.where(norms > 0, 1.0 / np.where(norms > 0, norms, 1.0), 0.0)
    cosines = gramian * inverse[:, None] * inverse
    rounding = len(gramian) * np.finfo(np.float64).eps
    best = np.linalg.pinv(cosines, rcond=rounding, hermitian=True) @ (norms > 0)
    length = np.sqrt(max(best @ cosines @ best, 0.0))
    if length == 0.0:
        return np.zeros_like(best)
    total = (norms * (cosines @ best)).sum() / length
    weights: np.ndarray = total / length * best * inverse
    return weights
