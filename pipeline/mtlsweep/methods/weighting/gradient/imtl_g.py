"""IMTL-G: a combination that all task gradients share equally."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import AT_REPRESENTATION, GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("imtl_g")
class ImpartialGradients(GramianWeighting):
    """Weights, summing to 1, whose combination has equal projections on all g_i / |g_i|.

    They may be negative. They are pinv(M) sqrt(diag M), normalised, after TorchJD's generalisation to
    linearly dependent gradients; LibMTL inverts a difference matrix in float32 and fails there.
    """

    facts = Facts(
        paper="Liu, Li, Kuang, et al. 2021, ICLR, openreview IMPnRXEWpvr",
        scale="sum of a_i g_i, sum of a_i = 1",
        heads="1",
    )
    allows = AT_REPRESENTATION

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        return Weights(torch.from_numpy(impartial_weights(gramian.numpy())), torch.ones_like(losses))


def impartial_weights(gramian: np.ndarray) -> np.ndarray:
    """Return IMTL-G's weights [T] for `gramian` [T, T]; zeros where they would not sum to anything.

    With linearly independent gradients the weights are solved on cosines, so that gradients of very
    different length lose no digits. Dependent ones take the pseudo-inverse of the Gramian.
    """
    norms = np.sqrt(gramian.diagonal())
    weights = _solve_on_cosines(gramian, norms) if norms.min() > 0 else None
    if weights is None:
        rounding = len(gramian) * np.finfo(np.float64).eps
        weights = np.linalg.pinv(gramian, rcond=rounding, hermitian=True) @ norms
    total = weights.sum()
    if abs(total) <= 1e-12 * np.abs(weights).sum():
        return np.zeros_like(weights)
    normalised: np.ndarray = weights / total
    return normalised


def _solve_on_cosines(gramian: np.ndarray, norms: np.ndarray) -> np.ndarray | None:
    """Return M^{-1} |g| up to a factor, or None if the gradients depend on each other to rounding."""
    eigenvalues, vectors = np.linalg.eigh(gramian / norms[:, None] / norms)
    if eigenvalues[0] <= len(norms) * np.finfo(np.float64).eps * eigenvalues[-1]:
        return None
    solution: np.ndarray = vectors @ ((vectors.sum(axis=0)) / eigenvalues) / norms
    return solution
