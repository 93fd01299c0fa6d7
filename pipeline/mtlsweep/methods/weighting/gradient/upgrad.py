"""UPGrad: each gradient projected onto the cone of directions that conflict with no task."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
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
    )

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        shared = project_onto_dual_cone(gramian.numpy()).mean(axis=0)
        return Weights(torch.from_numpy(shared), torch.ones_like(losses))


def project_onto_dual_cone(gramian: np.ndarray) -> np.ndarray:
    """Return [T, T]: in row i the weights of the gradients in the projection of g_i."""
    norms = np.sqrt(gramian.diagonal())
    norms = np.where(norms > 0, norms, 1.0)
    eigenvalues, vectors = np.linalg.eigh(gramian / norms[:, None] / norms)
    directions = (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))).T  # column j: the direction of g_j
    coefficients = np.eye(len(gramian))
    for index in np.flatnonzero((gramian < 0).any(axis=1)):
        coefficients[index] += nnls(directions, -directions[:, index])[0]
    projections: np.ndarray = coefficients * norms[:, None] / norms
    return projections
