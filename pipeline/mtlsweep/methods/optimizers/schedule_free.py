"""Schedule-free AdamW: an average of the parameters takes the place of a schedule."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch.optim import Optimizer

from mtlsweep.methods.optimizers.parameters import Parameters
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, BelowOne, NotNegative, Positive


@OPTIMIZERS.register("schedule_free")
def schedule_free(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    beta1: Annotated[float, Field(gt=0, lt=1)] = 0.9,
    beta2: BelowOne = 0.999,
    epsilon: Positive = 1e-8,
    warmup_steps: Annotated[int, Field(ge=0)] = 0,
) -> Optimizer:
    """Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682), of the authors' package `schedulefree`.

    Gradients are taken at y = beta1 x + (1 - beta1) z, where z makes AdamW's steps without momentum and x is the
    average of z. Evaluated and saved is x. The suite's schedule does not apply to it.
    """
    from schedulefree import AdamWScheduleFree

    made: Optimizer = AdamWScheduleFree(
        parameters,
        learning_rate,
        betas=(beta1, beta2),
        eps=epsilon,
        weight_decay=weight_decay,
        warmup_steps=warmup_steps,
    )
    return made
