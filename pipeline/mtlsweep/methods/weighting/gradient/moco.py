"""MoCo: moving averages of the gradients correct the bias that a batch brings into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import JacobianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.simplex import sum_to_one
from mtlsweep.methods.weighting.weighting import Facts, Weights

_EPSILON = 1e-8


@WEIGHTINGS.register("moco")
class MoCo(JacobianWeighting):
    """Weights lambda on moving averages y_i of the gradients; the update is sum_i lambda_i y_i.

    At step k, with h_i = L_i g_i / (|g_i| + 1e-8): y_i <- y_i - beta_k (y_i - h_i), y_i = 0 at first; then
    lambda <- softmax(lambda - gamma_k (y y^T + rho I) lambda), lambda = 1/T at first, where
    beta_k = beta / k^beta_decay and gamma_k = gamma / k^gamma_decay. A task's effective weight is that of its
    current gradient without memory, lambda_i L_i / |g_i|; 0 where the gradient is 0.

    Deviations: this is LibMTL's form, made from the author's code. The paper tracks g_i itself, and projects onto the
    simplex where LibMTL takes the softmax; so does the author's public code, without decay.

    Args:
        beta: how fast the averages follow.
        beta_decay: how that fades over steps.
        gamma: learning rate of lambda.
        gamma_decay: how that fades over steps.
        rho: pull of lambda to equal weights.
    """

    facts = Facts(
        paper="Fernando, Shen, Liu, et al. 2023, ICLR, openreview dLAYGdKTi2",
        scale="sum of lambda_i y_i, y_i the moving average of L_i g_i / |g_i|, sum of lambda_i = 1",
        heads="1",
        code="https://github.com/heshandevaka/Trade-Off-MOL",
    )
    needs_positive_losses = "on average"
    per_task: ClassVar = {"_averages": (0,), "_lambdas": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        beta: Annotated[float, Field(gt=0, le=1)] = 0.5,
        beta_decay: Annotated[float, Field(ge=0)] = 0.5,
        gamma: Annotated[float, Field(gt=0)] = 0.1,
        gamma_decay: Annotated[float, Field(ge=0)] = 0.5,
        rho: Annotated[float, Field(ge=0)] = 0.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._beta, self._beta_decay = beta, beta_decay
        self._gamma, self._gamma_decay = gamma, gamma_decay
        self._rho = rho
        self._step = 0
        self._averages: Tensor | None = None
        self._lambdas: Tensor | None = None

    def combine(
        self, losses: Tensor, gradients: Sequence[Tensor], values: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], Weights]:
        (rows,) = gradients
        if self._averages is None or self._lambdas is None:
            self._averages, self._lambdas = torch.zeros_like(rows), torch.full_like(losses, 1.0 / len(losses))
        self._step += 1
        beta = self._beta / self._step**self._beta_decay
        gamma = self._gamma / self._step**self._gamma_decay
        norms = torch.linalg.vector_norm(rows, dim=1)
        lengths = torch.where(norms > 0, losses / (norms + _EPSILON), torch.zeros_like(norms))
        self._averages.mul_(1.0 - beta).addcmul_(rows, (beta * lengths)[:, None])
        lambdas = sum_to_one(self._lambdas)
        pull = self._averages @ (lambdas @ self._averages) + self._rho * lambdas
        self._lambdas = (lambdas - gamma * pull).softmax(0)
        return [self._lambdas @ self._averages], Weights(self._lambdas * lengths, torch.ones_like(losses))

    def get_extra_state(self) -> dict[str, Any]:
        """Return the moving averages [T, P], lambda [T] and the step's number."""
        return {"step": self._step, "averages": self._averages, "lambdas": self._lambdas}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state`."""
        self._step, self._averages, self._lambdas = state["step"], state["averages"], state["lambdas"]
