"""PCGrad: each task's gradient without the parts that conflict with the other tasks' gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("pcgrad")
class PCGrad(GramianWeighting):
    """For each i, over the other tasks j in random order: if <g_i', g_j> < 0, project g_j out of g_i'.

    The update is sum_i g_i'. All of it happens on the Gramian: g_i' = sum_k C_ik g_k, so only the
    coefficients C and the products <g_i', g_j> = (C M)_ij are tracked, for all i at once.

    Deviations: LibMTL's inner loop includes j = i, which rarely has an effect; the paper and this code leave it out.
    """

    facts = Facts(
        paper="Yu, Kumar, Gupta, Levine, Hausman, Finn 2020, arXiv 2001.06782",
        scale="sum of projected g_i",
        heads="1",
        code="https://github.com/tianheyu927/PCGrad",
    )

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        orders = random_orders(len(losses), self.generator)
        return Weights(torch.from_numpy(project_conflicts(gramian.numpy(), orders)), torch.ones_like(losses))


def random_orders(tasks: int, generator: torch.Generator) -> np.ndarray:
    """Return [T, T-1]: for each task a random order of the others."""
    draws = torch.rand(tasks, tasks, generator=generator, dtype=torch.float64)
    draws.fill_diagonal_(2.0)  # a task itself comes last, and is cut off
    orders: np.ndarray = draws.argsort(dim=1)[:, :-1].numpy()
    return orders


def project_conflicts(gramian: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return PCGrad's weights [T] for `gramian` [T, T]; task i is projected against the others in the order `orders[i]` [T-1]."""
    rows = np.arange(len(gramian))
    squared_norms = np.where(gramian.diagonal() > 0, gramian.diagonal(), 1.0)
    coefficients = np.eye(len(gramian))
    products = gramian.copy()
    for others in orders.T:
        steps = np.minimum(products[rows, others], 0.0) / squared_norms[others]
        coefficients[rows, others] -= steps
        products -= steps[:, None] * gramian[others]
    weights: np.ndarray = coefficients.sum(axis=0)
    return weights
