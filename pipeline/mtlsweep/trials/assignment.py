"""What a strategy hands out: a trial, and the epoch up to which to train it."""

from __future__ import annotations

from dataclasses import dataclass

from mtlsweep.trials.trial import Trial


@dataclass(frozen=True)
class Assignment:
    """A trial to train now, up to and including the epoch `until`; its resume point is kept when that is not the last."""

    trial: Trial
    until: int
