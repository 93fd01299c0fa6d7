"""The route of methods that train heads to agree on the shared update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from mtlsweep.methods.weighting import HeadAligningWeighting
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.training.step.backward import CombinedGradient, combine
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward
from mtlsweep.training.step.jacobian import Jacobian
from mtlsweep.training.step.route import Measured

_EPSILON = 1e-6
"""Added to a norm that is divided by, as in torch's `clip_grad_norm_`."""


class AlignedHeads(CombinedGradient):
    """T backwards of the backbone; each head is passed backwards once, and once more for the derivative of that.

    With delta_i the gradient of L_i at the representation and delta = sum_i a_i delta_i, a the method's `agreement` of
    that step, head i gets the gradient of its loss plus that of -pull <delta_i, delta>, delta held fixed; the second
    is clipped to `longest` times the norm of the first.
    """

    def __init__(
        self,
        forward: Forward,
        check: DivergenceCheck,
        optimizers: Sequence[Optimizer],
        weighting: HeadAligningWeighting,
    ) -> None:
        super().__init__(forward, check, optimizers, weighting)
        self.jacobian = Jacobian(len(forward.tasks), self.shared)

    def gradients(self, batch: Batch) -> Measured:
        parts, leaves, _, losses = self.forward.cut_losses(batch)
        heads = [self.heads[task.name] for task in self.forward.present(batch)]
        slopes = [
            torch.autograd.grad(loss, [*leaves, *head], create_graph=True, materialize_grads=True)
            for loss, head in zip(losses, heads, strict=True)
        ]
        deltas = [slope[: len(leaves)] for slope in slopes]
        self._clear_gradients()
        seeds = [[each.detach().to(part.dtype) for each, part in zip(delta, parts, strict=True)] for delta in deltas]
        jacobian = self.jacobian.first(len(losses))
        jacobian.differentiate_from(parts, seeds)
        on_host, gramian, weights = combine(self.weighting, losses, jacobian, None, self.check)
        self._set_shared_gradients(jacobian.shaped_update)
        joint = self._joint(deltas, self.weighting.agreement.to(losses[0], non_blocking=True))
        for head, slope, delta in zip(heads, slopes, deltas, strict=True):
            if head:
                self._align(head, [each.detach() for each in slope[len(leaves) :]], delta, joint)
        self._weigh_heads(batch, weights.heads)
        return Measured(on_host, weights, gramian)

    @staticmethod
    def _joint(deltas: Sequence[Sequence[Tensor]], agreement: Tensor) -> list[Tensor]:
        """Return delta."""
        joint = [torch.zeros_like(part) for part in deltas[0]]
        for delta, weight in zip(deltas, agreement, strict=True):
            for total, part in zip(joint, delta, strict=True):
                total += weight * part.detach()
        return joint

    def _align(
        self, head: Sequence[Parameter], own: Sequence[Tensor], delta: Sequence[Tensor], joint: Sequence[Tensor]
    ) -> None:
        """Set the gradients of `head`, from those of its loss, `own`, and its pull."""
        agreed = torch.stack([(each * part).sum() for each, part in zip(delta, joint, strict=True)]).sum()
        pulls = torch.autograd.grad(-self.weighting.pull * agreed, head, materialize_grads=True)
        limit = self.weighting.longest * get_total_norm(own)
        share = (limit / (get_total_norm(pulls) + _EPSILON)).clamp(max=1.0)
        for parameter, slope, pull in zip(head, own, pulls, strict=True):
            parameter.grad = slope + share * pull
