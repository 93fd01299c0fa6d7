"""The interface of a route: from task losses to gradients on the parameters."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from mtlsweep.methods.optimizers.sam import SAM
from mtlsweep.methods.weighting import Weighting, Weights
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """Figures of one step, on the host in float64; None where the method has none.

    Attributes:
        losses: [T]; T counts the tasks that have a label in the batch.
        weights: effective multipliers of the task gradients.
        gramian: [T, T], of the task gradients.
    """

    losses: Tensor
    weights: Weights | None
    gramian: Tensor | None


class Route(ABC):
    """One step; see the module's docstring.

    Args:
        forward: the network and its tasks.
        check: ends the trial if what a step sees is not finite.
        optimizers: one of all parameters, or one per task.
        weighting: gives each task its weight, or its own optimizer.
    """

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: Weighting
    ) -> None:
        self.forward, self.check, self.optimizers = forward, check, tuple(optimizers)
        self.weighting: Any = weighting
        network = forward.network
        self._parameters = list(network.parameters())  # to go through its modules in every step takes time
        self.shared: list[Parameter] = network.shared_parameters()
        self.heads: dict[str, list[Parameter]] = {
            task.name: network.head_parameters(task.name) for task in forward.tasks
        }

    @abstractmethod
    def step(self, batch: Batch) -> Measured:
        """Update the parameters once.

        Raises:
            Diverged: raised by `check`.
        """

    def _descend(self, optimizer: Optimizer, gradients: Callable[[], T]) -> T:
        """Take one step of `optimizer` along what `gradients` writes; return what it measured at the parameters.

        With SAM the gradients are taken twice, and a gradient method combines them at both points.
        """
        if not isinstance(optimizer, SAM):
            measured = gradients()
            optimizer.step()
            return measured
        second = copy.deepcopy(self.weighting, {id(self.weighting.generator): self.weighting.generator})
        random_state = self.weighting.generator.get_state()
        measured = gradients()
        with optimizer.at_second_point(), self._without_trace(second, random_state):
            gradients()
        optimizer.step()
        return measured

    @contextmanager
    def _without_trace(self, weighting: Weighting, random_state: Tensor) -> Iterator[None]:
        """Use another copy of the weighting, from where the step began; afterwards no buffer or stream has moved on.

        Both points are combined from the same state and draws, and the state learns once a step, at the parameters.
        """
        real, generator = self.weighting, self.weighting.generator
        after = generator.get_state()
        buffers = [(buffer, buffer.clone()) for buffer in self.forward.network.buffers()]
        self.weighting = weighting
        generator.set_state(random_state)
        try:
            yield
        finally:
            self.weighting = real
            generator.set_state(after)
            for buffer, before in buffers:
                buffer.copy_(before)

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _set_shared_gradients(self, gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(self.shared, gradients, strict=True):
            parameter.grad = gradient

    def _weigh_heads(self, batch: Batch, weights: Tensor) -> None:
        """Multiply the gradients of each head, so far those of its task's loss, by the head's weight."""
        for task, weight in zip(self.forward.present(batch), weights.tolist(), strict=True):
            gradients = [parameter.grad for parameter in self.heads[task.name] if parameter.grad is not None]
            if weight != 1.0 and gradients:
                torch._foreach_mul_(gradients, weight)
