"""Which weighting goes with which optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import Parameter

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.optimizers.joint import averaging
from mtlsweep.methods.weighting import WEIGHTINGS, TaskOptimizers
from mtlsweep.params.choice import Choice


def check_combination(weighting: Choice, optimizer: Choice, tasks: int | Sequence[str]) -> None:
    """Check, without building a network, that the two can train a network on `tasks` (names, or how many).

    Raises:
        UserError: unknown names or options, or an invalid combination.
    """
    options = WEIGHTINGS.resolve(weighting).options
    OPTIMIZERS.resolve(optimizer)
    method = WEIGHTINGS.get(weighting.name)
    objection = method.objection(options, optimizer.name, tasks)
    if objection is None and issubclass(method, TaskOptimizers) and _averages(optimizer):
        objection = (
            f"gives each task an optimizer of the same parameters, and the averages that `{optimizer.name}` keeps of them "
            "would overwrite each other; choose adam"
        )
    if objection is not None:
        raise UserError(f"weighting `{weighting.name}` with optimizer `{optimizer.name}`: it {objection}.")


def _averages(optimizer: Choice) -> bool:
    """Whether an optimizer evaluates at an average of the parameters."""
    return bool(averaging([OPTIMIZERS.create(optimizer, [Parameter(torch.ones(1))], 1.0)]))
