"""The registry of optimizers, and the types their options share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from mtlsweep.params.registry import Registry

OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "mtlsweep.methods.optimizers")
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]


def has_fused_kernel(parameters: Iterable[Tensor]) -> bool:
    """Return whether torch has one kernel for a whole optimizer step where `parameters` live."""
    return all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
