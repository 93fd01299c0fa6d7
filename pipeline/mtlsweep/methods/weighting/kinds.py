"""The kinds of weighting, by what they need: losses, the Gramian of task gradients, their Jacobian, or an optimizer per task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtlsweep.methods.weighting.weighting import Weighting, Weights


class LossWeighting(Weighting):
    """Weights from losses alone: the weighted sum of the losses is differentiated once."""

    kind = "loss"
    cost = "1 backward"
    allows: ClassVar[Mapping[str, Sequence[str]]] = {"scale": ("native", "unit"), "heads": ("native", "one", "same")}
    reevaluates: bool = False
    """Whether `observe` wants the losses of the same batch after the step (one more forward)."""

    @abstractmethod
    def weigh(self, losses: Tensor) -> Tensor:
        """Return the weights [T] of shared and head gradients for `losses` [T]."""

    def observe(self, losses: Tensor) -> None:
        """Receive the batch's `losses` [T] after the step; called if `reevaluates`."""


class LookAheadWeighting(LossWeighting):
    """Weights that lower the loss of a further batch after a trial step.

    The trial step is that of the base optimizer without its adaptive scaling (gradient, momentum buffer and weight decay
    of SGD), of all parameters, on the step's own batch.
    """

    batches = 2
    cost = "4 forwards + 3 backwards"
    allows: ClassVar[Mapping[str, Sequence[str]]] = {**LossWeighting.allows, "heads": ("native", "same")}

    @abstractmethod
    def objective(self) -> Tensor:
        """Return what each task's loss on the further batch counts, [T]."""

    @abstractmethod
    def descend(self, slopes: Tensor) -> None:
        """Receive, before `weigh`, the derivative of the further batch's loss by each weight, [T]."""


class GradientWeighting(Weighting):
    """Weights that need every task's gradient; those at the shared parameters by default."""

    kind = "gradient"
    cost = "T backwards"
    allows: ClassVar[Mapping[str, Sequence[str]]] = {**LossWeighting.allows, "gradients": ("parameters",)}


AT_REPRESENTATION: Mapping[str, Sequence[str]] = {
    **GradientWeighting.allows,
    "gradients": ("parameters", "representation"),
}
"""`allows` of a gradient method whose gradients may be taken at the shared representation."""


class GramianWeighting(GradientWeighting):
    """Weights from the inner products of the task gradients."""

    @abstractmethod
    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        """Return the weights for `losses` [T] and `gramian` [T, T] (<g_i, g_j> at row i, column j).

        Raises:
            numpy.linalg.LinAlgError, torch.linalg.LinAlgError: the solver found no answer; the trial
                ends as `diverged`.
        """


class TwoSampleWeighting(GramianWeighting):
    """Weights from the products of task gradients of two further batches: their noise is independent, so it adds no bias.

    `weigh` receives <g_i, g'_j> at row i, column j, with g from the one batch and g' from the other: not symmetric,
    and of any sign on the diagonal. The update is that of the step's own batch.
    """

    batches = 3
    cost = "3 forwards, 2 T backwards, T of heads + 1 of the backbone"


class HeadAligningWeighting(GramianWeighting):
    """Weights of the shared update, and heads that are trained to bring the task gradients near it.

    Attributes:
        agreement: [T], set by `weigh`: the weights of the gradients at the representation that heads are drawn to.
        pull: how strongly.
        longest: the addition to a head's gradient is at most so many times as long as that.
    """

    cost = "T backwards of the backbone + 3 of each head"
    agreement: Tensor
    pull: float
    longest: float


class JacobianWeighting(GradientWeighting):
    """Combinations that weights cannot express: the method gets the task gradients, on their device.

    State made of gradients (moving averages, say) lives on that device. A method returns it from
    `get_extra_state` and takes it in `set_extra_state`; `restore` has moved it there by then.
    """

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """As `Weighting.restore`, with the tensors of the extra state on `device`."""
        moved = {
            name: _to_device(value, device) if name.endswith(_EXTRA_STATE) else value for name, value in state.items()
        }
        super().restore(moved, device)

    @abstractmethod
    def combine(
        self, losses: Tensor, gradients: Sequence[Tensor], values: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], Weights]:
        """Return the update and the effective weights of the tasks in it, all on the device.

        Args:
            losses: [T].
            gradients: those on the shared parameters as one [T, P], or on each of the representation's
                parts as [T, N, ...]; not to be written to.
            values: the representation's parts [N, ...]; None if gradients are on parameters.

        Returns:
            One tensor for each of `gradients`, without its first dimension. The updater multiplies
            them by one number if the scale is `unit`.
        """


class TaskOptimizers(Weighting):
    """A weighting and optimizer in one: each task updates the shared parameters with its own optimizer."""

    kind = "optimizer"
    sequential: ClassVar[bool]
    """Whether a task's gradient is taken after the tasks before it have updated the parameters."""


_EXTRA_STATE = "_extra_state"
"""How `nn.Module` ends the name of extra state in a `state_dict`."""


def _to_device(value: Any, device: torch.device) -> Any:
    """Return `value` with the tensors in it, at any depth of dicts, lists and tuples, on `device`."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _to_device(each, device) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_device(each, device) for each in value)
    return value
