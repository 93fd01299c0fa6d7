"""The interface of a strategy, and what the grid and the race share: methods decided one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import optuna

from mtlsweep.params.registry import Registry
from mtlsweep.sweep.search.objective_values import Kind
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import State, TrialRecord
from mtlsweep.trials.trial import Trial

Suggest = Callable[[], Cell | None]
"""Gives a cell that was never suggested before, or None when the space has no more."""

STRATEGIES: Registry[Strategy] = Registry("strategy", "mtlsweep.sweep.strategies")


class Strategy(ABC):
    """Hands out trials and hears of their ends; all calls come from one thread.

    Attributes:
        sampler: suggests cells, for a strategy that does not choose them itself.
        target: what the suite's Optuna study is told of a cell.
    """

    sampler: optuna.samplers.BaseSampler | None = None
    target: Kind = "delta_m"

    @abstractmethod
    def next(self, suggest: Suggest) -> Assignment | None:
        """Return a trial to start now, or None when nothing can start before something running ends."""

    @abstractmethod
    def take(self, record: TrialRecord[State]) -> Sequence[Trial]:
        """Hear how far a trial has got or how it ended; return the trials that are cut by it."""

    @abstractmethod
    def cut_now(self) -> Sequence[Trial]:
        """Return the trials that are cut by what was known at the start."""

    @abstractmethod
    def left(self) -> int:
        """Return how many trials are to be trained further as far as is known now; 0 means that the sweep is complete."""

    @abstractmethod
    def total(self) -> int:
        """Return how many trials the sweep has as far as is known now, finished ones included."""

    @abstractmethod
    def epochs_left(self) -> Mapping[str, int]:
        """Return by method how many epochs are left to train; of what depends on results yet to come, the least."""
