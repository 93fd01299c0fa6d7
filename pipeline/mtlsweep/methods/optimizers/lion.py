"""Lion: every coordinate moves by the learning rate, along an average of gradients."""

from __future__ import annotations

from torch.optim import Optimizer

from mtlsweep.methods.optimizers.parameters import Parameters
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, BelowOne, NotNegative


@OPTIMIZERS.register("lion")
def lion(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.99,
) -> Optimizer:
    """Lion (Chen et al. 2023, arXiv 2302.06675), of the package `pytorch-optimizer`.

    parameter -= learning_rate (sign(beta1 m + (1 - beta1) gradient) + weight_decay parameter), then
    m <- beta2 m + (1 - beta2) gradient. The paper takes rates 3 to 10 times smaller than AdamW's.
    """
    from pytorch_optimizer import Lion  # imports for two seconds, so only where it is used

    made: Optimizer = Lion(parameters, learning_rate, (beta1, beta2), weight_decay)
    return made
