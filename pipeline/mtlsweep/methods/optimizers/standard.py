"""torch's optimizers, fused where torch has a fused kernel; weight decay 1e-5 as in the study."""

from __future__ import annotations

from typing import Any

import torch
from torch import optim

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers.parameters import Parameters
from mtlsweep.methods.optimizers.registry import (
    OPTIMIZERS,
    AtLeastOne,
    BelowOne,
    NotNegative,
    NotPositive,
    Positive,
    has_fused_kernel,
)


@OPTIMIZERS.register("adam")
def adam(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    epsilon: Positive = 1e-8,
) -> optim.Optimizer:
    """Adam (Kingma and Ba 2015); weight decay is added to the gradient."""
    fused = has_fused_kernel(parameters)
    return optim.Adam(parameters, learning_rate, (beta1, beta2), epsilon, weight_decay, fused=fused)


@OPTIMIZERS.register("adamw")
def adamw(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    epsilon: Positive = 1e-8,
) -> optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); weight decay shrinks the parameters directly."""
    fused = has_fused_kernel(parameters)
    return optim.AdamW(parameters, learning_rate, (beta1, beta2), epsilon, weight_decay, fused=fused)


@OPTIMIZERS.register("sgd")
def sgd(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    momentum: BelowOne = 0.9,
    nesterov: bool = False,
) -> optim.Optimizer:
    """SGD with momentum, without dampening.

    Raises:
        UserError: Nesterov momentum without momentum.
    """
    if nesterov and momentum == 0:
        raise UserError("optimizer `sgd` option `nesterov` needs `momentum` above 0, found 0.0.")
    fused = has_fused_kernel(parameters)
    optimizer = optim.SGD(
        parameters, learning_rate, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused
    )
    optimizer.register_step_pre_hook(_begin_momentum)
    return optimizer


def _begin_momentum(optimizer: optim.Optimizer, args: Any, kwargs: Any) -> None:
    """Give a parameter that gets its first gradient after others a momentum of 0: torch's fused kernel fails on none."""
    if 0 < len(optimizer.state) < sum(len(group["params"]) for group in optimizer.param_groups):
        for parameter in (each for group in optimizer.param_groups for each in group["params"]):
            if parameter.grad is not None and parameter not in optimizer.state:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


@OPTIMIZERS.register("rmsprop")
def rmsprop(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    alpha: BelowOne = 0.99,
    epsilon: Positive = 1e-8,
    momentum: BelowOne = 0.0,
) -> optim.Optimizer:
    """RMSprop (Tieleman and Hinton 2012) in torch's form: epsilon is added after the root."""
    return optim.RMSprop(parameters, learning_rate, alpha, epsilon, weight_decay, momentum, foreach=True)


@OPTIMIZERS.register("adagrad")
def adagrad(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    epsilon: Positive = 1e-10,
) -> optim.Optimizer:
    """AdaGrad (Duchi, Hazan, Singer 2011)."""
    fused = has_fused_kernel(parameters)
    return optim.Adagrad(parameters, learning_rate, weight_decay=weight_decay, eps=epsilon, fused=fused)


@OPTIMIZERS.register("nadam")
def nadam(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    epsilon: Positive = 1e-8,
    momentum_decay: NotNegative = 4e-3,
) -> optim.Optimizer:
    """NAdam (Dozat 2016): Adam with Nesterov's momentum; weight decay is added to the gradient."""
    return optim.NAdam(parameters, learning_rate, (beta1, beta2), epsilon, weight_decay, momentum_decay, foreach=True)


@OPTIMIZERS.register("adafactor")
def adafactor(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    beta2_decay: NotPositive = -0.8,
    epsilon: Positive | None = None,
    smallest_step: Positive = 1e-3,
    clipping: AtLeastOne = 1.0,
) -> optim.Optimizer:
    """Adafactor (Shazeer and Stern 2018, arXiv 1804.04235) in torch's form, without first moments.

    The second moments of a tensor's last two dimensions are a product of two vectors. A step is
    min(learning_rate, 1 / sqrt(t)) times the root mean square of the parameter, or `smallest_step` if that
    is more; weight decay shrinks the parameters directly. `epsilon` is the least mean of squared gradients; the paper
    has 1e-30, None is torch's 1.2e-7 in float32, below which a gradient's scale matters.
    """
    return optim.Adafactor(
        parameters, learning_rate, beta2_decay, (epsilon, smallest_step), clipping, weight_decay, foreach=True
    )
