"""The route of methods that try a step before they weigh the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from mtlsweep.methods.optimizers.joint import settings
from mtlsweep.methods.weighting import LookAheadWeighting
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.training.step.backward import CombinedGradient, loss_weights
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward, to_host
from mtlsweep.training.step.route import Measured

_REACH = 0.01
"""Length of the difference by which the derivative along a direction is taken, as in Auto-Lambda's official code."""


class LookAhead(CombinedGradient):
    """A trial step on copies of the parameters, the slopes of the weights, and then the step.

    Let theta' be the parameters after the trial step and d the gradient of the further batch's loss there. The
    derivative of that loss by w_i is -rate <g_i, d>; <g_i, d> is the difference of L_i at theta + eps d and theta - eps d
    over 2 eps, with eps = 0.01 / |d|. Batch statistics see the step's own batch, once.
    """

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: LookAheadWeighting
    ) -> None:
        super().__init__(forward, check, optimizers, weighting)
        self._names: dict[Tensor, str] = {each: name for name, each in forward.network.named_parameters()}

    def gradients(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        (on_host,) = to_host(losses)
        self.check.losses(on_host)
        tried = self._after_trial_step(losses, loss_weights(self.weighting, on_host).shared)
        slopes = self._slopes(batch, self._direction(tried, *(batch.further or (batch,))))
        self.weighting.descend(slopes)
        weights = loss_weights(self.weighting, on_host)
        self.check.weights(weights)
        self._clear_gradients()
        torch.autograd.backward(losses, list(weights.shared.to(losses[0], non_blocking=True).unbind()))
        return Measured(on_host, weights, None)

    def _after_trial_step(self, losses: Sequence[Tensor], weights: Tensor) -> dict[str, Tensor]:
        """Return the parameters after a step of SGD with the optimizer's rates, momentum buffers and weight decay."""
        self._clear_gradients()
        torch.autograd.backward(losses, list(weights.to(losses[0], non_blocking=True).unbind()), retain_graph=True)
        tried: dict[str, Tensor] = {}
        with torch.no_grad():
            for parameter, group, state in settings(self.optimizers[0]):
                move = parameter * group.get("weight_decay", 0.0)
                if parameter.grad is not None:
                    move += parameter.grad
                buffer = state.get("momentum_buffer")
                if buffer is not None:
                    move += buffer.view(parameter.shape) * group["momentum"]
                tried[self._names[parameter]] = (parameter - group["lr"] * move).requires_grad_()
        return tried

    def _direction(self, tried: dict[str, Tensor], further: Batch) -> dict[str, Tensor]:
        """Return d, the gradient of the further batch's loss at `tried`, of the parameters that this loss depends on."""
        losses = self.forward.losses_at(tried, further)
        counts = self.weighting.objective().to(losses[0], non_blocking=True)
        gradients = torch.autograd.grad(losses, list(tried.values()), list(counts.unbind()), allow_unused=True)
        return {name: each for name, each in zip(tried, gradients, strict=True) if each is not None}

    @torch.no_grad()
    def _slopes(self, batch: Batch, direction: dict[str, Tensor]) -> Tensor:
        """Return the derivative of the further batch's loss by each weight, [T], on the host."""
        length = get_total_norm(direction.values())
        reach = _REACH / length.clamp(min=torch.finfo(length.dtype).tiny)
        found = []
        for sign in (1, -1):
            moved = {
                name: parameter + sign * reach * direction[name]
                for parameter, name in self._names.items()
                if name in direction
            }
            found.append(self.forward.losses_at(moved, batch))
        above, below, on_host = to_host(found[0], torch.stack(found[1]), reach)
        rate = self.optimizers[0].param_groups[0]["lr"]
        slopes: Tensor = -rate * (above - below) / (2 * on_host)
        return slopes
