"""The interface of a strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import optuna

from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.sweep.search.objective_values import Kind
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import State, TrialRecord
from mtlsweep.trials.trial import Trial


class Suggest(Protocol):
    """Returns a cell that was not suggested before, or None when no more cells are left."""

    def __call__(self, start: Cell | None = None) -> Cell | None:
        """Suggest a cell; with `start` one of its method and learning rate, if there is a new one."""


STRATEGIES: Registry[Strategy] = Registry("strategy", "mtlsweep.sweep.strategies")


def is_adaptive(strategy: Choice) -> bool:
    """Whether a strategy chooses cells during the sweep, so that they are not known in advance.

    Raises:
        UserError: unknown strategy.
    """
    return "cells_tried" in STRATEGIES.options_of(strategy.name)


class Strategy(ABC):
    """Chooses trials and reacts to their results; all calls come from one thread.

    Attributes:
        sampler: suggests cells; None if the strategy chooses cells itself.
        target: kind of objective values in the suite's Optuna study.
    """

    sampler: optuna.samplers.BaseSampler | None = None
    target: Kind = "delta_m"

    @abstractmethod
    def next(self, suggest: Suggest) -> Assignment | None:
        """Return a trial to start now, or None if a running trial must end first."""

    @abstractmethod
    def update(self, record: TrialRecord[State]) -> Sequence[Trial]:
        """Store a paused or finished trial; return the trials to prune as a result."""

    @abstractmethod
    def cut_now(self) -> Sequence[Trial]:
        """Return the trials to prune according to the records so far."""

    @abstractmethod
    def left(self) -> int:
        """Return how many trials are left to train, as known now; 0 means that the sweep is complete."""

    @abstractmethod
    def total(self) -> int:
        """Return how many trials the sweep has, as known now, including finished ones."""

    @abstractmethod
    def epochs_left(self) -> Mapping[str, int]:
        """Return the epochs left to train by method; a minimum where the number depends on future results."""
