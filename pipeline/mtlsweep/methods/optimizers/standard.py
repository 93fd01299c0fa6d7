"""torch's optimizers, fused where torch has a fused kernel; weight decay 1e-5 as in the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, optim

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, BelowOne, NotNegative, Positive, has_fused_kernel


@OPTIMIZERS.register("adam")
def adam(
    parameters: Sequence[Tensor],
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
    parameters: Sequence[Tensor],
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
    parameters: Sequence[Tensor],
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
    parameters: Sequence[Tensor],
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
    parameters: Sequence[Tensor],
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    epsilon: Positive = 1e-10,
) -> optim.Optimizer:
    """AdaGrad (Duchi, Hazan, Singer 2011)."""
    fused = has_fused_kernel(parameters)
    return optim.Adagrad(parameters, learning_rate, weight_decay=weight_decay, eps=epsilon, fused=fused)
