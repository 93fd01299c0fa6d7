"""The ways from a batch to moved parameters, one for each kind of weighting.

`OneBackward` differentiates the weighted sum of the losses once. `TaskBackwards` differentiates each
loss for itself, so that task gradients can be compared. `RepresentationBackward` does that only down
to the shared representation, and runs back through the backbone once. `TaskSteps` gives each task
its own optimizer. Each sends what the host must see there in one transfer per step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from pipeline.data.store import Batch
from pipeline.training.divergence import DivergenceCheck
from pipeline.training.forward import Forward, to_host
from pipeline.weighting import GramianWeighting, JacobianWeighting, LossWeighting, TaskOptimizers, Weights
from pipeline.weighting.base import GradientWeighting, unit_factor
from pipeline.weighting.jacobian import Jacobian


@dataclass(frozen=True)
class Measured:
    """What one step looked like, on the host in float64; None where the method has none.

    Attributes:
        losses: [T].
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
        self.heads: list[list[Parameter]] = [network.head_parameters(task.name) for task in forward.tasks]

    @abstractmethod
    def step(self, batch: Batch) -> Measured:
        """Move the parameters once.

        Raises:
            Diverged: by `check`.
        """

    def _forget_gradients(self) -> None:
        for parameter in self.forward.network.parameters():
            parameter.grad = None

    def _set_shared_gradients(self, gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(self.shared, gradients, strict=True):
            parameter.grad = gradient

    def _weigh_heads(self, weights: Tensor) -> None:
        """Multiply each head's gradients, its task's so far, by its weight."""
        for parameters, weight in zip(self.heads, weights.tolist(), strict=True):
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            if weight != 1.0 and gradients:
                torch._foreach_mul_(gradients, weight)


class OneBackward(Route):
    """For weights from losses alone that hold for shared parameters and heads."""

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: LossWeighting
    ) -> None:
        super().__init__(forward, check, optimizers)
        self.weighting = weighting

    def step(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        (on_host,) = to_host(losses)
        self.check.losses(on_host)
        weights = loss_weights(self.weighting, on_host)
        self.check.weights(weights)
        self._forget_gradients()
        torch.autograd.backward(losses, list(weights.shared.to(losses[0]).unbind()))
        self.optimizers[0].step()
        return Measured(on_host, weights, None)


class TaskBackwards(Route):
    """One backward per task; gradients are those on the shared parameters."""

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: GradientWeighting
    ) -> None:
        super().__init__(forward, check, optimizers)
        self.weighting = weighting
        self.jacobian = Jacobian(len(forward.tasks), self.shared)

    def step(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        self._forget_gradients()
        self.jacobian.differentiate(losses, retain_graph=True)
        on_host, gramian, weights = combine(self.weighting, losses, self.jacobian, None, self.check)
        self._set_shared_gradients(self.jacobian.shaped_update)
        self._weigh_heads(weights.heads)
        self.optimizers[0].step()
        return Measured(on_host, weights, gramian)


class RepresentationBackward(Route):
    """One backward per head down to the representation, and one through the backbone.

    Also for loss weightings whose heads do not follow the shared weights.
    """

    def __init__(
        self,
        forward: Forward,
        check: DivergenceCheck,
        optimizers: Sequence[Optimizer],
        weighting: GradientWeighting | LossWeighting,
    ) -> None:
        super().__init__(forward, check, optimizers)
        self.weighting = weighting

    def step(self, batch: Batch) -> Measured:
        representation = self.forward.representation(batch)
        parts = representation if isinstance(representation, tuple) else (representation,)
        leaves = tuple(part.detach().float().requires_grad_() for part in parts)  # whatever the parts' precision
        seen = tuple(leaf.to(part.dtype) for leaf, part in zip(leaves, parts, strict=True))
        losses = self.forward.losses_from(seen if isinstance(representation, tuple) else seen[0], batch)
        jacobian = Jacobian(len(losses), leaves)
        self._forget_gradients()
        jacobian.differentiate(losses, retain_graph=False)
        gramian = None
        if isinstance(self.weighting, LossWeighting):
            (on_host,) = to_host(losses)
            self.check.losses(on_host)
            weights = loss_weights(self.weighting, on_host)
            self.check.weights(weights)
            jacobian.combine(weights.shared)
        else:
            on_host, gramian, weights = combine(self.weighting, losses, jacobian, seen, self.check)
        update = [each.to(part.dtype) for each, part in zip(jacobian.shaped_update, parts, strict=True)]
        torch.autograd.backward(parts, update)
        self._weigh_heads(weights.heads)
        self.optimizers[0].step()
        return Measured(on_host, weights, gramian)


class TaskSteps(Route):
    """One optimizer per task, over the shared parameters and the task's head.

    All gradients are taken at one point, unless the method `moves_between`. The decay of shared
    parameters that an optimizer adds to the gradient is then taken at that point too, 1/T of it by
    each task, and decay that shrinks parameters directly is left to the first: so it happens once,
    and with T = 1 as in the base optimizer.

    Args:
        optimizers: one per task, with the shared parameters as its first group.
    """

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: TaskOptimizers
    ) -> None:
        super().__init__(forward, check, optimizers)
        self._moves_between = weighting.moves_between
        self._decay_share = 0.0
        if not self._moves_between:
            self.jacobian = Jacobian(len(forward.tasks), self.shared)
            self._take_over_decay()

    def _take_over_decay(self) -> None:
        for index, optimizer in enumerate(self.optimizers):
            group = optimizer.param_groups[0]
            if isinstance(optimizer, torch.optim.AdamW):
                group["weight_decay"] = group["weight_decay"] if index == 0 else 0.0
            else:
                self._decay_share = group.get("weight_decay", 0.0) / len(self.optimizers)
                group["weight_decay"] = 0.0

    def step(self, batch: Batch) -> Measured:
        return self._step_in_turn(batch) if self._moves_between else self._step_at_one_point(batch)

    def _step_in_turn(self, batch: Batch) -> Measured:
        losses = []
        for task, optimizer in zip(self.forward.tasks, self.optimizers, strict=True):
            self._forget_gradients()
            loss = self.forward.loss(task, batch)
            loss.backward()
            optimizer.step()
            losses.append(loss)
        (on_host,) = to_host(losses)
        self.check.losses(on_host)
        return Measured(on_host, None, None)

    def _step_at_one_point(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        self._forget_gradients()
        self.jacobian.differentiate(losses, retain_graph=True)
        on_host, gramian = to_host(losses, self.jacobian.gramian())
        self.check.losses(on_host)
        self.check.gramian(gramian)
        if self._decay_share:
            with torch.no_grad():
                self.jacobian.rows.add_(torch.cat([each.reshape(-1) for each in self.shared]), alpha=self._decay_share)
        for gradients, optimizer in zip(self.jacobian.shaped_rows, self.optimizers, strict=True):
            self._set_shared_gradients(gradients)
            optimizer.step()
        return Measured(on_host, None, gramian)


def loss_weights(weighting: LossWeighting, losses: Tensor) -> Weights:
    """Return what `weighting` gives `losses` [T] under its conventions."""
    weights = weighting.weigh(losses)
    return weighting.conventions.apply(Weights(weights, weights))


def combine(
    weighting: GradientWeighting,
    losses: Sequence[Tensor],
    jacobian: Jacobian,
    values: Sequence[Tensor] | None,
    check: DivergenceCheck,
) -> tuple[Tensor, Tensor, Weights]:
    """Write the update into `jacobian.update`; return losses, Gramian and effective weights on the host."""
    if isinstance(weighting, GramianWeighting):
        on_host, gramian = to_host(losses, jacobian.gramian())
        check.losses(on_host)
        check.gramian(gramian)
        weights = weighting.conventions.apply(weighting.weigh(on_host, gramian))
        check.weights(weights)
        jacobian.combine(weights.shared)
        return on_host, gramian, weights
    assert isinstance(weighting, JacobianWeighting)
    on_device = torch.stack([loss.detach() for loss in losses])
    gradients = [jacobian.rows] if values is None else jacobian.shaped(jacobian.rows)
    parts, effective = weighting.combine(
        on_device, gradients, None if values is None else [part.detach() for part in values]
    )
    on_host, gramian, shared, heads = to_host(losses, jacobian.gramian(), effective.shared, effective.heads)
    check.losses(on_host)
    check.gramian(gramian)
    weights = weighting.conventions.apply(Weights(shared, heads))
    check.weights(weights)
    torch.cat([part.reshape(-1) for part in parts], out=jacobian.update)
    if weighting.conventions.scale == "unit":
        jacobian.update.mul_(unit_factor(shared))
    return on_host, gramian, weights
