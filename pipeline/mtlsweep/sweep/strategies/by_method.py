"""Base class of the grid and the race: decisions about a method depend only on trials of this method."""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.strategies.known import Known, epochs_seen
from mtlsweep.sweep.strategies.strategy import Strategy, Suggest
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import State, TrialRecord
from mtlsweep.trials.trial import Trial


@dataclass(frozen=True)
class Decision:
    """What a strategy wants to do with one method.

    Attributes:
        wanted: trials to train now, most urgent first.
        total: number of trials of the method known now, including finished ones.
        cut: trials to prune.
    """

    wanted: tuple[Assignment, ...]
    total: int
    cut: tuple[Trial, ...] = ()


class MethodByMethod(Strategy):
    """A strategy whose decision about a method depends only on trials of this method.

    Args:
        cells: all cells of the sweep.
        seeds: replicates of each cell.
        reference: baseline values for Delta_m.
        known: records of trials so far.
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
        """Return the decision for one method; a pure function of its arguments."""

    def least_epochs_left(self, cells: Sequence[Cell], known: Known) -> int:
        """Return the minimum number of epochs left for a method; 0 if it has no later rungs."""
        return 0

    def epochs_left(self) -> Mapping[str, int]:
        """Return for each method the minimum number of epochs left, later rungs included."""
        return dict(self._epochs_left)

    def next(self, suggest: Suggest) -> Assignment | None:
        """Return the most urgent trial of the first method that wants one."""
        for decision in self._decisions.values():
            for assignment in decision.wanted:
                if assignment.trial.key not in self._running:
                    self._running.add(assignment.trial.key)
                    return assignment
        return None

    def update(self, record: TrialRecord[State]) -> Sequence[Trial]:
        """Decide again about the trial's method."""
        self._running.discard(record.trial.key)
        self._known[record.trial.key] = record
        method = record.trial.cell.method
        before = {trial.key for trial in self._decisions[method].cut}
        self._decide(method)
        return [trial for trial in self._decisions[method].cut if trial.key not in before]

    def cut_now(self) -> Sequence[Trial]:
        """Return the pruned trials of every method."""
        return [trial for decision in self._decisions.values() for trial in decision.cut]

    def left(self) -> int:
        """Return how many trials to train now; a race adds more when it knows which trials continue."""
        return sum(len(decision.wanted) for decision in self._decisions.values())

    def total(self) -> int:
        """Return the sum over methods."""
        return sum(decision.total for decision in self._decisions.values())

    def _decide(self, method: str) -> None:
        cells = self._cells[method]
        self._decisions[method] = decision = self.decide(cells, self._known)
        now = sum(assignment.until - epochs_seen(assignment.trial, self._known) for assignment in decision.wanted)
        self._epochs_left[method] = max(now, self.least_epochs_left(cells, self._known)) if decision.wanted else 0
