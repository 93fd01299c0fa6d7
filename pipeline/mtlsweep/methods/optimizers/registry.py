"""The registry of optimizers, and the types their options share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry

OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "mtlsweep.methods.optimizers")
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]


def without_weight_decay(optimizer: Choice, unless_given: bool = False) -> Choice:
    """Return `optimizer` with its weight decay, if it has one, at 0.

    Args:
        optimizer: of OPTIMIZERS.
        unless_given: whether to keep the weight decay that its options give.
    """
    given = unless_given and "weight_decay" in optimizer.options
    if given or "weight_decay" not in OPTIMIZERS.options_of(optimizer.name):
        return optimizer
    return Choice(name=optimizer.name, options={**optimizer.options, "weight_decay": 0.0})


def has_fused_kernel(parameters: Iterable[Tensor]) -> bool:
    """Return whether torch has one kernel for a whole optimizer step where `parameters` live."""
    return all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
