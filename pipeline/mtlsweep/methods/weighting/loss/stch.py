"""STCH: a smooth maximum of log losses, each relative to its value after a warm-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("stch")
class SmoothTchebycheff(LossWeighting):
    """Minimises T mu log sum_i exp(log(L_i / L_i^w) / mu): weights T softmax_i(log(L_i / L_i^w) / mu) / L_i.

    L^w are the mean losses of the epoch that ends the warm-up. During the warm-up the objective is
    sum_i log L_i: weights 1 / L_i. A task without labels in that epoch has L^w = L_i until the first epoch with
    labels of it has ended; the warm-up counts every epoch.

    This is the official multi-task code, as in LibMTL. TorchJD's `STCH` is the plain scalarisation
    mu log sum_i exp(lambda_i L_i / mu), without logarithms and warm-up.

    Args:
        mu: smoothing; small values approach the maximum.
        warmup_epochs: epochs before the one whose mean losses are L^w; it belongs to the warm-up too.
    """

    facts = Facts(
        paper="Lin, Zhang, Yang, et al. 2024, arXiv 2402.19078",
        scale="sum of T softmax(log(L_i / L_i^w) / mu)_i g_i / L_i",
        heads="same weight",
        code="https://github.com/Xi-L/STCH",
    )
    needs_positive_losses = "always"
    per_task: ClassVar = {"reference": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        mu: Annotated[float, Field(gt=0)] = 1.0,
        warmup_epochs: Annotated[int, Field(ge=0)] = 4,
    ) -> None:
        super().__init__(tasks, generator)
        self._mu, self._warmup_epochs = mu, warmup_epochs
        self.register_buffer("epoch", torch.tensor(0))
        self.register_buffer("reference", torch.full((len(tasks),), math.nan, dtype=torch.float64))
        self.epoch: Tensor
        self.reference: Tensor

    def weigh(self, losses: Tensor) -> Tensor:
        if self.epoch <= self._warmup_epochs:
            return losses.reciprocal()
        reference = losses.where(self.reference.isnan(), self.reference)
        return len(losses) * ((losses / reference).log() / self._mu).softmax(0) / losses

    def end_epoch(self, losses: Tensor) -> None:
        if self.epoch >= self._warmup_epochs:
            self.reference = losses.where(self.reference.isnan(), self.reference)
        self.epoch = self.epoch + 1
