"""SAM: the step of another optimizer, with the gradient of a point near by where the loss is high."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers.joint import Joint
from mtlsweep.methods.optimizers.parameters import Parameters
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, Positive
from mtlsweep.params.choice import Choice

_EPSILON = 1e-12


def _checked(base: Choice) -> Choice:
    if base.name == "sam":
        raise UserError("optimizer `sam` option `base` is `sam` itself: name the optimizer that makes the steps.")
    return OPTIMIZERS.resolve(base)


@OPTIMIZERS.register("sam")
def sam(
    parameters: Parameters,
    learning_rate: float,
    *,
    base: Annotated[Choice, AfterValidator(_checked), Field(validate_default=True)] = Choice(name="sgd"),  # noqa: B008  # it is frozen
    rho: Positive = 0.05,
    adaptive: bool = False,
) -> Optimizer:
    """Sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412) around another optimizer.

    The gradient g at the parameters w leads to w + rho g / |g|, and the gradient there is the one that `base`
    steps with, from w. The norm is over all parameters.

    Args:
        parameters: of the network.
        learning_rate: of the base.
        base: what makes the steps, with its options, such as `{adam: {beta1: 0.8}}`.
        rho: length of the way to the second point.
        adaptive: measures that way relative to the parameters: w + rho w^2 g / |w g|
            (Kwon et al. 2021, arXiv 2102.11600, without their constant).

    Raises:
        UserError: `base` is unknown or has wrong options.
    """
    return SAM(OPTIMIZERS.create(base, parameters, learning_rate), parameters, rho, adaptive)


class SAM(Joint):
    """A base optimizer whose gradients are to be taken inside `at_second_point`.

    Args:
        base: over `parameters`.
        parameters: what is moved to the second point; those of groups that are added later move too.
        rho, adaptive: see `sam`.
    """

    def __init__(self, base: Optimizer, parameters: Iterable[Tensor], rho: float, adaptive: bool) -> None:
        super().__init__([base])
        self._parameters = list(parameters)
        self._rho, self._adaptive = rho, adaptive

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.parts:
            self._parameters += param_group["params"]
        super().add_param_group(param_group)

    @contextmanager
    def at_second_point(self) -> Iterator[None]:
        """Move the parameters along their gradients; put them back, to the bit, at the end."""
        moved = [parameter for parameter in self._parameters if parameter.grad is not None]
        before = [parameter.detach().clone() for parameter in moved]
        with torch.no_grad():
            ways = self._ways(moved)
            torch._foreach_add_(moved, ways)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(moved, before)

    def _ways(self, parameters: list[Tensor]) -> list[Tensor]:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        scaled: list[Tensor] = list(torch._foreach_mul(parameters, gradients)) if self._adaptive else gradients
        norm = get_total_norm(scaled)
        if self._adaptive:
            scaled = list(torch._foreach_mul(parameters, scaled))
        return list(torch._foreach_mul(scaled, self._rho / (norm + _EPSILON)))
