"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch.optim import Optimizer

from mtlsweep.methods.optimizers.parameters import Parameters
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, BelowOne, NotNegative, Positive

Count = Annotated[int, Field(ge=1)]


@OPTIMIZERS.register("soap")
def soap(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    beta1: BelowOne = 0.95,
    beta2: BelowOne = 0.95,
    epsilon: Positive = 1e-8,
    frequency: Count = 10,
    longest: Count = 10000,
) -> Optimizer:
    """SOAP (Vyas et al. 2024, arXiv 2409.11321), of the package `pytorch-optimizer`.

    Every dimension of a tensor has a basis of its own, convolutions included; vectors take plain Adam. As in the
    official code the first step only starts the preconditioner and moves nothing.

    Args:
        parameters: of the network.
        learning_rate: of all of them.
        weight_decay: shrinks the parameters directly.
        beta1, beta2: of the moments; beta2 also of the preconditioner.
        epsilon: of Adam.
        frequency: steps from one basis to the next.
        longest: a dimension longer than this keeps its own axes.
    """
    from pytorch_optimizer import SOAP  # imports for two seconds, so only where it is used

    made: Optimizer = SOAP(
        parameters,
        learning_rate,
        (beta1, beta2),
        weight_decay=weight_decay,
        eps=epsilon,
        precondition_frequency=frequency,
        max_precondition_dim=longest,
    )
    return made
