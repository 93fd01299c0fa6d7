"""Auto-Lambda: weights that descend the loss which the primary tasks have after the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LookAheadWeighting
from mtlsweep.methods.weighting.own_adam import OwnAdam
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("auto_lambda")
class AutoLambda(OwnAdam, LookAheadWeighting):
    """Weights lambda, stepped by their own Adam on the primary tasks' loss after a trial step with them.

    With theta' = theta - rate (grad sum_i lambda_i L_i + momentum + decay), the derivative of sum of L_j(theta') over the
    primary tasks, on a further batch of training data, by lambda_i is -rate <g_i, d>, taken by a finite
    difference. The network's step on the own batch then has the new lambda. Nothing keeps lambda
    positive. As in the official code, the further batch is of the training split, in an order of its own, and the
    trial step is that of SGD whatever the optimizer is. In a step without a task's labels its lambda and the moments of
    it stay.

    Deviations: the official code evaluates the own batch's loss once more for the trial step, and its batch
    statistics see that batch four times; here once.

    Args:
        primary: tasks whose loss counts; none means all.
        start: first value of every lambda.
        learning_rate: of lambda; the official code uses 1e-4, and 3e-5 for Cityscapes.
    """

    facts = Facts(
        paper="Liu, James, Davison, Johns 2022, arXiv 2202.03091",
        scale="sum of lambda_i g_i, lambda_i = 0.1 at first",
        heads="same weight",
        code="https://github.com/lorenmt/auto-lambda",
    )
    per_task: ClassVar = {"lambdas": (0,), "counts": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        primary: tuple[str, ...] = (),
        start: float = 0.1,
        learning_rate: Annotated[float, Field(gt=0)] = 1e-4,
    ) -> None:
        super().__init__(tasks, generator)
        self.counts = torch.tensor([float(not primary or task in primary) for task in tasks], dtype=torch.float64)
        self.register_buffer("lambdas", torch.full((len(tasks),), start, dtype=torch.float64))
        self.lambdas: Tensor  # a buffer: stepped here, not beside the network
        self._adam = torch.optim.Adam([self.lambdas], lr=learning_rate)

    @classmethod
    def objection(cls, options: Mapping[str, Any], optimizer: str, tasks: int | Sequence[str]) -> str | None:
        if isinstance(tasks, int):
            return None
        unknown = [task for task in options["primary"] if task not in tasks]
        if not unknown:
            return None
        return f"has the primary task `{unknown[0]}`, which is not a task of the suite: choose from {', '.join(tasks)}"

    def objective(self) -> Tensor:
        return self.counts

    def descend(self, slopes: Tensor) -> None:
        self.lambdas.grad = slopes
        self._adam.step()

    def weigh(self, losses: Tensor) -> Tensor:
        return self.lambdas.clone()
