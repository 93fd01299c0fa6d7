"""GradVac: pairs of gradients are turned towards each other until they reach their usual cosine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.gradient.pcgrad import random_orders
from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights

_TINY = np.finfo(np.float64).tiny


@WEIGHTINGS.register("gradvac")
class GradVac(GramianWeighting):
    """Turns each gradient towards the others until their cosine is its moving average, then sums.

    For each i, over the other tasks j in random order, with c the cosine of g_i' and g_j: if c < t_ij,
    add |g_i'| (t_ij sqrt(1 - c^2) - c sqrt(1 - t_ij^2)) / (|g_j| sqrt(1 - t_ij^2)) g_j to g_i', which
    brings the cosine to t_ij; then t_ij <- (1 - beta) t_ij + beta c. The targets t start at 0.

    A pair's target stays in a step without the labels of one of the two.

    Only the whole-model grouping is offered. LibMTL and TorchJD add 1e-8 to denominators; here a
    cosine with a zero gradient is 0 and nothing is added.

    Args:
        beta: how fast the targets follow; 0.01 in the paper, 0.5 in LibMTL and TorchJD.
    """

    facts = Facts(paper="Wang, Tsvetkov, Firat, Cao 2021, arXiv 2010.05874", scale="sum of turned g_i", heads="1")
    per_task: ClassVar = {"targets": (0, 1)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        beta: Annotated[float, Field(ge=0, le=1)] = 0.5,
    ) -> None:
        super().__init__(tasks, generator)
        self._beta = beta
        self.register_buffer("targets", torch.zeros(len(tasks), len(tasks), dtype=torch.float64))
        self.targets: Tensor

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        orders = random_orders(len(losses), self.generator)
        targets = self.targets.numpy().copy()
        shared = vaccinate(gramian.numpy(), orders, targets, self._beta)
        self.targets = torch.from_numpy(targets)
        return Weights(torch.from_numpy(shared), torch.ones_like(losses))


def vaccinate(gramian: np.ndarray, orders: np.ndarray, targets: np.ndarray, beta: float) -> np.ndarray:
    """Return GradVac's weights [T]; task i is compared with the others in the order `orders[i]`. Updates `targets` [T, T].

    As in PCGrad, g_i' = sum_k C_ik g_k, and all i are treated at once.
    """
    rows = np.arange(len(gramian))
    norms = np.sqrt(gramian.diagonal())
    coefficients = np.eye(len(gramian))
    products = gramian.copy()
    for others in orders.T:
        lengths = np.sqrt(np.maximum((products * coefficients).sum(axis=1), 0.0))
        cosines = np.clip(products[rows, others] / np.maximum(lengths * norms[others], _TINY), -1.0, 1.0)
        wanted = targets[rows, others]
        across = np.sqrt(1.0 - wanted**2)
        turns = lengths * (wanted * np.sqrt(1.0 - cosines**2) - cosines * across)
        room = norms[others] * across
        turns = np.where((cosines < wanted) & (room > 0), turns / np.maximum(room, _TINY), 0.0)
        coefficients[rows, others] += turns
        products += turns[:, None] * gramian[others]
        targets[rows, others] = (1.0 - beta) * wanted + beta * cosines
    weights: np.ndarray = coefficients.sum(axis=0)
    return weights
