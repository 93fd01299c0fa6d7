"""The interface of a strategy, and what the grid and the race share: methods decided one by one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import optuna

from pipeline.registry import Registry
from pipeline.sweep.reference import Reference
from pipeline.sweep.space import Suggest
from pipeline.sweep.targets import Kind
from pipeline.trials import Cell, FinishedTrial, Outcome, Trial

STRATEGIES: Registry[Callable[..., Strategy]] = Registry("strategy", "pipeline.sweep.strategies")

Known = Mapping[str, FinishedTrial]
"""What was seen of each trial, by key: its end, or with outcome `pruned` how far it has got."""


@dataclass(frozen=True)
class Assignment:
    """A trial to train now, up to and including the epoch `until`; its resume point is kept when that is not the last."""

    trial: Trial
    until: int


@dataclass(frozen=True)
class Decision:
    """What a strategy wants of one method.

    Attributes:
        wanted: trials to train now, the most urgent first.
        total: trials of the method, finished ones included, as far as is known now.
        cut: trials that will not be trained further.
    """

    wanted: tuple[Assignment, ...]
    total: int
    cut: tuple[Trial, ...] = ()


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
    def take(self, finished: FinishedTrial) -> Sequence[Trial]:
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


class MethodByMethod(Strategy):
    """A strategy whose decision about a method depends on that method's trials alone.

    Args:
        cells: all cells of the sweep.
        seeds: replicates of each cell.
        reference: what Delta_m compares with.
        known: what the ledger holds already.
    """

    def __init__(self, cells: Sequence[Cell], seeds: Sequence[int], reference: Reference, known: Known) -> None:
        self._seeds = tuple(seeds)
        self._reference = reference
        self._known = dict(known)
        self._cells: dict[str, list[Cell]] = defaultdict(list)
        for cell in cells:
            self._cells[cell.method].append(cell)
        self._running: set[str] = set()
        self._decisions: dict[str, Decision] = {}
        self._epochs_left: dict[str, int] = {}
        for method in self._cells:
            self._decide(method)

    @abstractmethod
    def decide(self, cells: Sequence[Cell], known: Known) -> Decision:
        """Return what is wanted of one method; a pure function of what is known."""

    def least_epochs_left(self, cells: Sequence[Cell], known: Known) -> int:
        """Return how many epochs a method has left at least, wanted now or later; 0 where nothing comes later."""
        return 0

    def epochs_left(self) -> Mapping[str, int]:
        """Return for each method what it wants now, or more where later rungs are sure to want more."""
        return dict(self._epochs_left)

    def next(self, suggest: Suggest) -> Assignment | None:
        """Return the most urgent trial of the first method that wants one."""
        for decision in self._decisions.values():
            for assignment in decision.wanted:
                if assignment.trial.key not in self._running:
                    self._running.add(assignment.trial.key)
                    return assignment
        return None

    def take(self, finished: FinishedTrial) -> Sequence[Trial]:
        """Decide the trial's method anew."""
        self._running.discard(finished.trial.key)
        self._known[finished.trial.key] = finished
        method = finished.trial.cell.method
        before = {trial.key for trial in self._decisions[method].cut}
        self._decide(method)
        return [trial for trial in self._decisions[method].cut if trial.key not in before]

    def cut_now(self) -> Sequence[Trial]:
        """Return the cuts of every method."""
        return [trial for decision in self._decisions.values() for trial in decision.cut]

    def left(self) -> int:
        """Return how many trials the methods want now; a race wants more once it knows who goes on."""
        return sum(len(decision.wanted) for decision in self._decisions.values())

    def total(self) -> int:
        """Return the sum over methods."""
        return sum(decision.total for decision in self._decisions.values())

    def _decide(self, method: str) -> None:
        cells = self._cells[method]
        self._decisions[method] = decision = self.decide(cells, self._known)
        now = sum(assignment.until - epochs_seen(assignment.trial, self._known) for assignment in decision.wanted)
        self._epochs_left[method] = max(now, self.least_epochs_left(cells, self._known)) if decision.wanted else 0


def has_ended(trial: Trial, known: Known) -> bool:
    """Whether a trial needs no further training, whatever the strategy."""
    seen = known.get(trial.key)
    return seen is not None and seen.result.outcome is not Outcome.PRUNED


def epochs_seen(trial: Trial, known: Known) -> int:
    """Return how many epochs of a trial are known."""
    seen = known.get(trial.key)
    return 0 if seen is None else len(seen.result.curve)


def epoch_at(share: float, epochs: int) -> int:
    """Return the epoch with which a share of all epochs is complete (0.1 of 30 are 3, whatever the last bit of 0.1 says)."""
    return max(1, math.ceil(round(share * epochs, 9)))
