"""The share of the current gradient in an update: the rest is what the optimizer remembers.

Let u be an update, and u_0 the one that the same optimizer would make in the same state if the gradient were zero.
Then u - u_0 is what the current gradient adds, and its share is

    <u - u_0, u> / <u, u>.

It is 1 without a memory and 1 - momentum for SGD in the long run of a constant gradient; it may be negative or above 1
where the current gradient and the memory point in opposite directions. Nothing is asked of an optimizer but to step, so
every optimizer is measured by one definition.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.optim import Optimizer

from mtlsweep.methods.optimizers.joint import restore


class ShareMeter:
    """Measures updates as optimizers make them, and leaves them as they are, to the bit.

    Args:
        network: whose parameters are updated.
        optimizers: of the network; what several of them do between `start` and `read` is one update.
    """

    def __init__(self, network: nn.Module, optimizers: Iterable[Optimizer]) -> None:
        self._parameters = [each for each in network.parameters() if each.requires_grad]
        self._active = False
        self._before = self._without = torch.zeros(0)
        self._update: Tensor | float = 0.0
        self._added: Tensor | float = 0.0
        for optimizer in optimizers:
            optimizer.register_step_pre_hook(self._before_step)
            optimizer.register_step_post_hook(self._after_step)

    def start(self) -> None:
        """Measure the steps from here on."""
        self._active, self._update, self._added = True, 0.0, 0.0

    def read(self) -> float | None:
        """Return the share over the steps since `start`, once; None if nothing has moved."""
        update, added = self._update, self._added
        self._active, self._update, self._added = False, 0.0, 0.0
        if not isinstance(update, Tensor) or not isinstance(added, Tensor) or not update.any():
            return None
        return float(added @ update / (update @ update))

    def _before_step(self, optimizer: Optimizer, *_: Any) -> None:
        """Step with a gradient of zero, note the update, and undo it."""
        if not self._active:
            return
        self._active = False
        before = [each.detach().clone() for each in self._parameters]
        gradients = [each.grad for each in self._parameters]
        state = copy.deepcopy(optimizer.state_dict())
        for parameter in self._parameters:
            parameter.grad = None if parameter.grad is None else torch.zeros_like(parameter.grad)
        optimizer.step()
        self._before, after = _vector(before), _vector(self._parameters)
        self._without = after - self._before
        restore(optimizer, state)
        for parameter, value, gradient in zip(self._parameters, before, gradients, strict=True):
            parameter.data.copy_(value)
            parameter.grad = gradient
        self._active = True

    def _after_step(self, *_: Any) -> None:
        if self._active:
            update = _vector(self._parameters) - self._before
            self._update = self._update + update
            self._added = self._added + update - self._without


def _vector(parameters: Iterable[Tensor]) -> Tensor:
    return parameters_to_vector(each.detach() for each in parameters).double()
