"""What a strategy knows of trials: how each ended, or how far it has got."""

from __future__ import annotations

from collections.abc import Mapping

from mtlsweep.trials.state import Finished, Outcome, State, TrialRecord
from mtlsweep.trials.trial import Trial

Known = Mapping[str, TrialRecord[State]]
"""What was seen of each trial, by key."""


def outcome_of(trial: Trial, known: Known) -> Outcome | None:
    """Return how a trial ended; None if it never started or is paused."""
    seen = known.get(trial.key)
    return seen.state.outcome if seen is not None and isinstance(seen.state, Finished) else None


def has_ended(trial: Trial, known: Known) -> bool:
    """Whether a trial needs no further training, whatever the strategy: one that was cut may be taken up again."""
    return outcome_of(trial, known) not in (None, Outcome.PRUNED)


def is_lost(trial: Trial, known: Known) -> bool:
    """Whether a trial diverged or failed, so that nothing of it counts."""
    return outcome_of(trial, known) in (Outcome.DIVERGED, Outcome.FAILED)


def epochs_seen(trial: Trial, known: Known) -> int:
    """Return how many epochs of a trial are known."""
    seen = known.get(trial.key)
    return 0 if seen is None else len(seen.state.curve)
