"""The routes from a batch to updated parameters, one for each kind of weighting.

`OneBackward` differentiates the weighted sum of the losses once. `TaskBackwards` differentiates each
loss separately, so that task gradients can be compared. `RepresentationBackward` does that only down
to the shared representation, and differentiates the backbone once. `TaskSteps` gives each task its
own optimizer. Each route sends the values that the host needs in one transfer per step; what goes to the device does
not wait for it (`non_blocking`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer

from mtlsweep.methods.weighting import GramianWeighting, JacobianWeighting, LossWeighting, Weights
from mtlsweep.methods.weighting.kinds import GradientWeighting
from mtlsweep.methods.weighting.weighting import unit_factor
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward, to_host
from mtlsweep.training.step.jacobian import Jacobian
from mtlsweep.training.step.route import Measured, Route


class CombinedGradient(Route):
    """A route of one optimizer, which follows the gradient that a weighting combines."""

    def step(self, batch: Batch) -> Measured:
        """Update the parameters once; see `Route`."""
        return self._descend(self.optimizers[0], partial(self.gradients, batch))

    @abstractmethod
    def gradients(self, batch: Batch) -> Measured:
        """Write the combined gradient into every parameter's `.grad`.

        Raises:
            Diverged: raised by `check`.
        """


class OneBackward(CombinedGradient):
    """For weightings that use losses only, with the same weights for shared parameters and heads."""

    def gradients(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        (on_host,) = to_host(losses)
        self.check.losses(on_host)
        weights = loss_weights(self.weighting, on_host)
        self.check.weights(weights)
        self._clear_gradients()
        torch.autograd.backward(losses, list(weights.shared.to(losses[0], non_blocking=True).unbind()))
        return Measured(on_host, weights, None)


class TaskBackwards(CombinedGradient):
    """One backward per task; gradients are those on the shared parameters."""

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: GradientWeighting
    ) -> None:
        super().__init__(forward, check, optimizers, weighting)
        self.jacobian = Jacobian(len(forward.tasks), self.shared)

    def gradients(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        jacobian = self.jacobian.first(len(losses))
        self._clear_gradients()
        jacobian.differentiate(losses, retain_graph=True)
        on_host, gramian, weights = combine(self.weighting, losses, jacobian, None, self.check)
        self._set_shared_gradients(jacobian.shaped_update)
        self._weigh_heads(batch, weights.heads)
        return Measured(on_host, weights, gramian)


class RepresentationBackward(CombinedGradient):
    """One backward per head down to the representation, and one through the backbone.

    Also for loss weightings whose heads do not follow the shared weights. Shared parameters that heads use are
    differentiated with the representation; the backbone's own backward adds nothing to them.
    """

    def gradients(self, batch: Batch) -> Measured:
        parts, leaves, seen, losses = self.forward.cut_losses(batch)
        used = self.forward.network.shared_by_heads()
        jacobian = Jacobian(len(losses), [*leaves, *used])
        self._clear_gradients()
        jacobian.differentiate(losses, retain_graph=False)
        on_host, gramian, weights = self._combine(losses, jacobian, seen)
        for parameter, each in zip(used, jacobian.shaped_update[len(parts) :], strict=True):
            parameter.grad = each
        update = [each.to(part.dtype) for each, part in zip(jacobian.shaped_update, parts, strict=False)]
        torch.autograd.backward(parts, update)
        self._weigh_heads(batch, weights.heads)
        return Measured(on_host, weights, gramian)

    def _combine(
        self, losses: Sequence[Tensor], jacobian: Jacobian, values: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None, Weights]:
        """Write the update into `jacobian.update`; return losses, Gramian (if there is one) and weights on the host."""
        if not isinstance(self.weighting, LossWeighting):
            return combine(self.weighting, losses, jacobian, values, self.check)
        (on_host,) = to_host(losses)
        self.check.losses(on_host)
        weights = loss_weights(self.weighting, on_host)
        self.check.weights(weights)
        jacobian.combine(weights.shared)
        return on_host, None, weights


def loss_weights(weighting: LossWeighting, losses: Tensor) -> Weights:
    """Return the weights that `weighting` gives to `losses` [T], under its conventions."""
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
        gramian = jacobian.repaired(gramian)
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
