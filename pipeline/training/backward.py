"""Three ways from task losses to the `.grad` of every parameter, one for each kind of weighting.

`OneBackward` differentiates the weighted sum of the losses once. `TaskBackwards` differentiates each
loss for itself, so a weighting can compare task gradients. `RepresentationBackward` does that only
down to the shared representation and runs the backbone once. Each sends the losses (and the
Gramian) to the host in one transfer, has them checked there, and leaves gradients behind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import Parameter

from pipeline.weighting import GramianWeighting, LossWeighting, Weighting, Weights
from pipeline.weighting.jacobian import Jacobian

if TYPE_CHECKING:
    from pipeline.data.store import Batch
    from pipeline.networks import MultiTaskNetwork
    from pipeline.tasks import Task

Check = Callable[[Tensor, Tensor | None], None]
"""Raises if losses [T] or Gramian [T, T] (host, float64) show that training has diverged."""


@dataclass(frozen=True)
class Measured:
    """What one step looked like, on the host in float64; None where the method has none."""

    losses: Tensor
    weights: Weights | None
    gramian: Tensor | None


class Forward:
    """Batches to losses, in the wanted precision."""

    def __init__(self, network: MultiTaskNetwork, tasks: Sequence[Task], precision: str) -> None:
        self.network, self.tasks = network, tuple(tasks)
        self._device_type = next(network.parameters()).device.type
        self._autocast = precision == "bfloat16"

    def autocast(self) -> torch.autocast:
        """Return the context in which networks and losses run."""
        return torch.autocast(self._device_type, torch.bfloat16, enabled=self._autocast)

    def losses(self, batch: Batch) -> list[Tensor]:
        """Return the loss of each task, float32; a list, so that their graphs stay apart."""
        with self.autocast():
            outputs = self.network(batch.inputs)
            return [self._loss(task, outputs[task.name], batch) for task in self.tasks]

    def losses_from(self, representation: Tensor | tuple[Tensor, ...], batch: Batch) -> list[Tensor]:
        """Return the loss of each task given what the backbone made of the batch."""
        with self.autocast():
            heads = self.network.heads
            return [self._loss(task, heads[task.name](representation), batch) for task in self.tasks]

    def _loss(self, task: Task, output: Tensor, batch: Batch) -> Tensor:
        return task.loss(output, batch.targets[task.name]).float()


class Backward(ABC):
    """From a batch to gradients; see the module's docstring."""

    def __init__(self, forward: Forward, check: Check) -> None:
        self.forward, self.check = forward, check
        network = forward.network
        self.shared: list[Parameter] = network.shared_parameters()
        self.heads: list[list[Parameter]] = [network.head_parameters(task.name) for task in forward.tasks]

    @abstractmethod
    def __call__(self, batch: Batch) -> Measured:
        """Leave the update's gradient in every parameter's `.grad`.

        Raises:
            Diverged: by `check`.
        """

    def _clear(self) -> None:
        for parameter in self.forward.network.parameters():
            parameter.grad = None

    def _set_heads(self, gradients: Sequence[Sequence[Tensor]], weights: Tensor) -> None:
        """Give each head its task's gradient times its weight."""
        for parameters, own, weight in zip(self.heads, gradients, weights.tolist(), strict=True):
            if weight != 1.0 and own:
                torch._foreach_mul_(list(own), weight)
            for parameter, gradient in zip(parameters, own, strict=True):
                parameter.grad = gradient


class OneBackward(Backward):
    """Weights from losses alone, the same for shared parameters and heads."""

    def __init__(self, forward: Forward, check: Check, weighting: LossWeighting) -> None:
        super().__init__(forward, check)
        self.weighting = weighting

    def __call__(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        on_host, _ = to_host(losses, None)
        self.check(on_host, None)
        weights = loss_weights(self.weighting, on_host)
        self._clear()
        torch.autograd.backward(losses, list(weights.shared.to(losses[0]).unbind()))
        return Measured(on_host, weights, None)


class TaskBackwards(Backward):
    """One backward per task; the weighting sees the Gramian of the gradients on shared parameters."""

    def __init__(self, forward: Forward, check: Check, weighting: GramianWeighting) -> None:
        super().__init__(forward, check)
        self.weighting = weighting
        self.jacobian = Jacobian(len(forward.tasks), self.shared)

    def __call__(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        head_gradients = self.differentiate(losses)
        on_host, gramian = to_host(losses, self.jacobian.gramian())
        self.check(on_host, gramian)
        assert gramian is not None
        weights = self.weighting.conventions.apply(self.weighting.weigh(on_host, gramian))
        self.jacobian.combine(weights.shared)
        for parameter, gradient in zip(self.shared, self.jacobian.views(self.jacobian.combination), strict=True):
            parameter.grad = gradient
        self._set_heads(head_gradients, weights.heads)
        return Measured(on_host, weights, gramian)

    def differentiate(self, losses: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        """Write each task's shared gradient to the Jacobian and return the gradients of its head."""
        of_heads = []
        count = len(self.shared)
        for index, (loss, head) in enumerate(zip(losses, self.heads, strict=True)):
            gradients = gradients_of(loss, [*self.shared, *head], retain_graph=index < len(losses) - 1)
            self.jacobian.store(index, gradients[:count])
            of_heads.append(gradients[count:])
        return of_heads


class RepresentationBackward(Backward):
    """One backward per head down to the representation, and one through the backbone."""

    def __init__(self, forward: Forward, check: Check, weighting: GramianWeighting | LossWeighting) -> None:
        super().__init__(forward, check)
        self.weighting = weighting

    def __call__(self, batch: Batch) -> Measured:
        with self.forward.autocast():
            representation = self.forward.network.representation(batch.inputs)
        parts = representation if isinstance(representation, tuple) else (representation,)
        seen = tuple(part.detach().requires_grad_() for part in parts)
        losses = self.forward.losses_from(seen if isinstance(representation, tuple) else seen[0], batch)
        jacobian = Jacobian(len(losses), seen)
        head_gradients = []
        for index, (loss, head) in enumerate(zip(losses, self.heads, strict=True)):
            gradients = gradients_of(loss, [*seen, *head], retain_graph=False)
            jacobian.store(index, gradients[: len(seen)])
            head_gradients.append(gradients[len(seen) :])
        compares = isinstance(self.weighting, GramianWeighting)
        on_host, gramian = to_host(losses, jacobian.gramian() if compares else None)
        self.check(on_host, gramian)
        weights = self._weights(on_host, gramian)
        jacobian.combine(weights.shared)
        self._clear()
        torch.autograd.backward(parts, jacobian.views(jacobian.combination))
        self._set_heads(head_gradients, weights.heads)
        return Measured(on_host, weights, gramian)

    def _weights(self, losses: Tensor, gramian: Tensor | None) -> Weights:
        if isinstance(self.weighting, LossWeighting):
            return loss_weights(self.weighting, losses)
        assert gramian is not None
        return self.weighting.conventions.apply(self.weighting.weigh(losses, gramian))


def choose_backward(weighting: Weighting, forward: Forward, check: Check) -> Backward:
    """Return the cheapest way that gives `weighting` what it needs under its conventions."""
    if isinstance(weighting, LossWeighting):
        kind = RepresentationBackward if weighting.conventions.heads == "one" else OneBackward
        return kind(forward, check, weighting)
    if isinstance(weighting, GramianWeighting):
        at_representation = weighting.conventions.gradients == "representation"
        return (RepresentationBackward if at_representation else TaskBackwards)(forward, check, weighting)
    raise TypeError(f"{type(weighting).__name__} is neither a LossWeighting nor a GramianWeighting")


def loss_weights(weighting: LossWeighting, losses: Tensor) -> Weights:
    """Return what `weighting` gives `losses` [T] under its conventions."""
    weights = weighting.weigh(losses)
    return weighting.conventions.apply(Weights(weights, weights))


def gradients_of(loss: Tensor, inputs: Sequence[Tensor], retain_graph: bool) -> tuple[Tensor, ...]:
    """Return the gradient of `loss` on each of `inputs`, zero where it does not depend on it."""
    return torch.autograd.grad(loss, inputs, retain_graph=retain_graph, allow_unused=True, materialize_grads=True)


def to_host(losses: Sequence[Tensor], gramian: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return losses [T] and Gramian [T, T] on the CPU in float64, moved in a single transfer."""
    stacked = torch.stack([loss.detach() for loss in losses])
    if gramian is None:
        return stacked.cpu().double(), None
    count = len(losses)
    together = torch.cat((stacked.to(gramian.dtype), gramian.flatten())).cpu().double()
    return together[:count], together[count:].view(count, count)
