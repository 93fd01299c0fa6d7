"""The kinds of weighting, by what they need: losses, the Gramian of task gradients, their Jacobian, or an optimizer per task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

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


class JacobianWeighting(GradientWeighting):
    """Combinations that weights cannot express: the method gets the task gradients, on their device."""

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


SMALLEST = 1e-20
"""Losses count as at least this, so that a task whose loss is exactly 0 gets a finite weight."""
