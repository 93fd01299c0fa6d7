"""GradNorm: weights learnt so that slow tasks get longer gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.methods.weighting.kinds import AT_REPRESENTATION, GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("gradnorm")
class GradNorm(GramianWeighting):
    """Weights w = T softmax(logits), trained on sum_i | w_i |g_i| - mean_j(w_j |g_j|) r_i^alpha |.

    r_i = (L_i / L_i(0)) / mean_j(L_j / L_j(0)) is the relative inverse training rate; the target, after
    the absolute value's minus sign, is a constant. In the first epoch all weights are 1, and its mean
    losses are L(0). In a step without a task's labels its logit and the moments of it stay. Its L(0) is its mean loss in
    its first epoch with labels; until then all weights of a step that it takes part in are 1.

    Deviations: the softmax and L(0) of the first epoch are LibMTL's; the paper trains w itself,
    renormalises it and takes L(0) at the first step. Norms are over all shared parameters; the paper
    takes the last shared layer. Heads follow their weighted loss as in the paper; in LibMTL, their own.

    Args:
        alpha: strength of the pull to a common training rate.
        learning_rate: of the logits; None means the network's, with its schedule. No weight decay.
    """

    facts = Facts(
        paper="Chen, Badrinarayanan, Lee, Rabinovich 2018, arXiv 1711.02257",
        scale="sum of w_i g_i, w = T softmax(logits)",
        heads="same weight",
    )
    needs_positive_losses = "on average"
    per_task: ClassVar = {"logits": (0,), "first_losses": (0,)}
    allows = AT_REPRESENTATION

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        alpha: Annotated[float, Field(ge=0)] = 1.5,
        learning_rate: Annotated[float, Field(gt=0)] | None = None,
    ) -> None:
        super().__init__(tasks, generator)
        self.learning_rate = learning_rate
        self._alpha = alpha
        self.logits = nn.Parameter(torch.zeros(len(tasks), dtype=torch.float64))
        self.register_buffer("first_losses", torch.full((len(tasks),), math.nan, dtype=torch.float64))
        self.first_losses: Tensor

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        if self.first_losses.isnan().any():
            self.logits.grad = None
            return Weights(torch.ones_like(losses), torch.ones_like(losses))
        shares = self.logits.detach().softmax(0)
        weights = len(losses) * shares
        norms = gramian.diagonal().sqrt()
        rates = losses / self.first_losses
        targets = (weights * norms).mean() * (rates / rates.mean()) ** self._alpha
        slopes = len(losses) * norms * torch.sign(weights * norms - targets)
        self.logits.grad = shares * (slopes - shares @ slopes)
        return Weights(weights, weights)

    def end_epoch(self, losses: Tensor) -> None:
        self.first_losses = losses.where(self.first_losses.isnan(), self.first_losses)
