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
    orders: np.ndarray = draws.numpy().argsort(axis=1)[:, :-1]
    return orders


def project_conflicts(gramian: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return PCGrad's weights [T] for `gramian` [T, T]; task i is projected against the others in the order `orders[i]` [T-1].

    In plain Python: up to about twenty tasks the calls of arrays would take longer than the sums.
    """
    rows: list[list[float]] = gramian.tolist()
    squared_norms = [row[task] if row[task] > 0 else 1.0 for task, row in enumerate(rows)]
    weights = [0.0] * len(rows)
    for task, others in enumerate(orders.tolist()):
        products, coefficients = rows[task], [0.0] * len(rows)
        coefficients[task] = 1.0
        for other in others:
            if products[other] < 0.0:
                step = products[other] / squared_norms[other]
                coefficients[other] -= step
                products = [product - step * each for product, each in zip(products, rows[other], strict=True)]
        weights = [total + each for total, each in zip(weights, coefficients, strict=True)]
    return np.array(weights)
