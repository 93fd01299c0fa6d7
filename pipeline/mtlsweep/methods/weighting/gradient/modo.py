"""MoDo: weights that follow the shortest combination of gradients slowly, from independent batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import TwoSampleWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.simplex import project_onto_simplex, sum_to_one
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("modo")
class MoDo(TwoSampleWeighting):
    """One projected step of lambda in each step: lambda <- P(lambda - gamma (A lambda + rho lambda)), 1/T at first.

    A holds the products of the gradients of two further batches, P projects onto the simplex, and the update is
    sum_i lambda_i g_i on the own batch. With the third batch as in LibMTL; the paper (Eq. 2.9b) takes the
    update on the two batches together, as the official code does unless told otherwise.

    Deviation: heads follow their gradient on the own batch; in LibMTL, the mean over the three batches.

    Args:
        gamma: learning rate of lambda; 0.001 in LibMTL, 0.1 in the official code and TorchJD.
        rho: pull of lambda to equal weights.
    """

    facts = Facts(
        paper="Chen, Fernando, Ying, Chen 2023, arXiv 2305.20057",
        scale="sum of lambda_i g_i, sum of lambda_i = 1",
        heads="1",
        code="https://github.com/heshandevaka/Trade-Off-MOL",
    )
    per_task: ClassVar = {"lambdas": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        gamma: Annotated[float, Field(gt=0)] = 1e-3,
        rho: Annotated[float, Field(ge=0)] = 0.1,
    ) -> None:
        super().__init__(tasks, generator)
        self._gamma, self._rho = gamma, rho
        self.register_buffer("lambdas", torch.full((len(tasks),), 1.0 / len(tasks), dtype=torch.float64))
        self.lambdas: Tensor

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        lambdas = sum_to_one(self.lambdas)
        slope = gramian @ lambdas + self._rho * lambdas
        self.lambdas = torch.from_numpy(project_onto_simplex((lambdas - self._gamma * slope).numpy()))
        return Weights(self.lambdas, torch.ones_like(losses))
