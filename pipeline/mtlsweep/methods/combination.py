"""Which weighting goes with which optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import Parameter

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.optimizers.joint import averaging
from mtlsweep.methods.weighting import WEIGHTINGS, HeadAligningWeighting, TaskOptimizers
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


def check_sharing(weighting: Choice, network: str, one_representation: bool) -> None:
    """Check that a weighting which compares task gradients at the representation finds one that all tasks share.

    Args:
        weighting: of WEIGHTINGS.
        network: its name, for the message.
        one_representation: of that network, see `MultiTaskNetwork`.

    Raises:
        UserError: it does not, or unknown name or options.
    """
    if one_representation:
        return
    options, method = WEIGHTINGS.resolve(weighting).options, WEIGHTINGS.get(weighting.name)
    if options.get("gradients") == "representation":
        remedy = "say `gradients: parameters`, or choose another network"
    elif issubclass(method, HeadAligningWeighting):
        remedy = "choose another weighting or network"
    else:
        return
    raise UserError(
        f"weighting `{weighting.name}` compares task gradients at one representation that all shared parameters lead to, and "
        f"network `{network}` has no such representation: {remedy}."
    )


def _averages(optimizer: Choice) -> bool:
    """Whether an optimizer evaluates at an average of the parameters."""
    return bool(averaging([OPTIMIZERS.create(optimizer, [Parameter(torch.ones(1))], 1.0)]))
