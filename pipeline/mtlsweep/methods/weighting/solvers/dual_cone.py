"""Projections onto the cone of directions that conflict with no task: the problem of UPGrad and DualProj."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls


def project_onto_dual_cone(gramian: np.ndarray, combinations: np.ndarray) -> np.ndarray:
    """Return [N, T]: the weights of the gradients in the projections of `combinations` onto {d : <g_j, d> >= 0 for all j}.

    The projection of u is u + sum_j y_j g_j with y >= 0 of least norm: a non-negative least squares
    problem on a square root of the Gramian.

    Args:
        gramian: [T, T].
        combinations: [N, T], weights of the gradients in each of the N vectors to project.
    """
    norms = np.sqrt(gramian.diagonal())
    norms = np.where(norms > 0, norms, 1.0)
    eigenvalues, vectors = np.linalg.eigh(gramian / norms[:, None] / norms)
    directions = (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))).T  # column j: the direction of g_j
    coefficients = combinations * norms
    for index in np.flatnonzero((combinations @ gramian < 0).any(axis=1)):
        size = np.abs(coefficients[index]).max()  # solved at size 1: the solver's tolerance is absolute
        scaled = coefficients[index] / size
        coefficients[index] = (scaled + nnls(directions, -(directions @ scaled))[0]) * size
    projections: np.ndarray = coefficients / norms
    return projections
