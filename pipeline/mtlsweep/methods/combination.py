"""Which weighting goes with which optimizer."""

from __future__ import annotations

from collections.abc import Sequence

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice


def check_combination(weighting: Choice, optimizer: Choice, tasks: int | Sequence[str]) -> None:
    """Check, without building anything, that the two can train a network on `tasks` (names, or how many).

    Raises:
        UserError: unknown names or options, or an invalid combination.
    """
    options = WEIGHTINGS.resolve(weighting).options
    OPTIMIZERS.resolve(optimizer)
    objection = WEIGHTINGS.get(weighting.name).objection(options, optimizer.name, tasks)
    if objection is not None:
        raise UserError(f"weighting `{weighting.name}` with optimizer `{optimizer.name}`: it {objection}.")
