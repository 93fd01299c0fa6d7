"""What a strategy knows about trials: the record of each paused or finished trial."""

from __future__ import annotations

from collections.abc import Mapping

from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import Finished, Outcome, State, TrialRecord
from mtlsweep.trials.trial import Trial

Known = Mapping[str, TrialRecord[State]]
"""Record of each trial, by trial key."""


class Trials:
    """Makes the trial of a cell and a seed, each time the same object: its key is hashed once and not with every decision."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, int], Trial] = {}

    def __call__(self, cell: Cell, seed: int) -> Trial:
        """Return the trial."""
        name = cell.key, seed
        if name not in self._made:
            self._made[name] = Trial(cell, seed)
        return self._made[name]


def outcome_of(trial: Trial, known: Known) -> Outcome | None:
    """Return the outcome of a trial; None if it has not started or is paused."""
    seen = known.get(trial.key)
    return seen.state.outcome if seen is not None and isinstance(seen.state, Finished) else None


def has_ended(trial: Trial, known: Known) -> bool:
    """Whether a trial needs no more training under any strategy; a pruned trial may continue later."""
    return outcome_of(trial, known) not in (None, Outcome.PRUNED)


def has_diverged_or_failed(trial: Trial, known: Known) -> bool:
    """Whether a trial diverged or failed, so that its results do not count."""
    return outcome_of(trial, known) in (Outcome.DIVERGED, Outcome.FAILED)


def epochs_seen(trial: Trial, known: Known) -> int:
    """Return how many epochs of a trial are recorded."""
    seen = known.get(trial.key)
    return 0 if seen is None else len(seen.state.curve)
