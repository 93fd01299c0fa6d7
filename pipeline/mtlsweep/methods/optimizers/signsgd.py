"""signSGD with momentum: every coordinate moves by the learning rate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim import Optimizer

from mtlsweep.methods.optimizers.parameters import Parameters
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, BelowOne, NotNegative


@OPTIMIZERS.register("signsgd")
class SignSGD(Optimizer):
    """The momentum buffer of SGD (without dampening), and a step along its sign.

    buffer <- momentum buffer + gradient + weight_decay parameter; parameter -= learning_rate sign(buffer).
    After Bernstein et al. 2018 (arXiv 1802.04434); their Signum averages, (1 - momentum) gradient,
    which has the same sign.
    """

    def __init__(
        self,
        parameters: Parameters,
        learning_rate: float,
        *,
        weight_decay: NotNegative = 1e-5,
        momentum: BelowOne = 0.9,
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; return what `closure`, if given, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, [parameter.grad for parameter in parameters])
            if group["weight_decay"]:
                torch._foreach_add_(buffers, parameters, alpha=group["weight_decay"])
            torch._foreach_add_(parameters, torch._foreach_sign(buffers), alpha=-group["lr"])
        return loss
