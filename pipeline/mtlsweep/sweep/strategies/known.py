"""What a strategy knows of trials: how each ended, or how far it has got."""

from __future__ import annotations

from collections.abc import Mapping

from mtlsweep.trials.state import FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

Known = Mapping[str, FinishedTrial]
"""What was seen of each trial, by key: its end, or with outcome `pruned` how far it has got."""


def has_ended(trial: Trial, known: Known) -> bool:
    """Whether a trial needs no further training, whatever the strategy."""
    seen = known.get(trial.key)
    return seen is not None and seen.result.outcome is not Outcome.PRUNED


def epochs_seen(trial: Trial, known: Known) -> int:
    """Return how many epochs of a trial are known."""
    seen = known.get(trial.key)
    return 0 if seen is None else len(seen.result.curve)
