"""The unit of work of a strategy: a trial, and the epoch to train it to."""

from __future__ import annotations

from dataclasses import dataclass

from mtlsweep.trials.trial import Trial


@dataclass(frozen=True)
class Assignment:
    """A trial to train up to and including epoch `until`; its resume point is kept if that is not the last epoch."""

    trial: Trial
    until: int
