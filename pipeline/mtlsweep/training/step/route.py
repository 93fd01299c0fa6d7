"""The interface of a route: from task losses to gradients on the parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from mtlsweep.methods.weighting import Weights
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward


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
    """

    def __init__(self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer]) -> None:
        self.forward, self.check, self.optimizers = forward, check, tuple(optimizers)
        network = forward.network
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

    def _clear_gradients(self) -> None:
        for parameter in self.forward.network.parameters():
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
