"""Base class of the grid and the race: decisions about a method depend only on trials of this method.

In the stage `baselines` a method is one optimizer on one task: the learning rates of a task compete with each other.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.strategies.known import Known, Trials, epochs_seen
from mtlsweep.sweep.strategies.strategy import Strategy, Suggest
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import State, TrialRecord
from mtlsweep.trials.trial import Trial

Contest = tuple[str, tuple[str, ...]]
"""The method and the tasks of the cells that compete with each other."""


def _contest(cell: Cell) -> Contest:
    return cell.method, cell.tasks


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
        self._trial = Trials()
        self._cells: dict[Contest, list[Cell]] = defaultdict(list)
        for cell in cells:
            self._cells[_contest(cell)].append(cell)
        self._running: set[str] = set()
        self._decisions: dict[Contest, Decision] = {}
        self._epochs_left: dict[Contest, int] = {}
        for contest in self._cells:
            self._decide(contest)

    @abstractmethod
    def decide(self, cells: Sequence[Cell], known: Known) -> Decision:
        """Return the decision for one method; a pure function of its arguments."""

    def least_epochs_left(self, cells: Sequence[Cell], known: Known) -> int:
        """Return the minimum number of epochs left for a method; 0 if it has no later rungs."""
        return 0

    def epochs_left(self) -> Mapping[str, int]:
        """Return for each method the minimum number of epochs left, later rungs included."""
        left: Counter[str] = Counter()
        for (method, _), epochs in self._epochs_left.items():
            left[method] += epochs
        return dict(left)

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
        contest = _contest(record.trial.cell)
        before = {trial.key for trial in self._decisions[contest].cut}
        self._decide(contest)
        return [trial for trial in self._decisions[contest].cut if trial.key not in before]

    def cut_now(self) -> Sequence[Trial]:
        """Return the pruned trials of every method."""
        return [trial for decision in self._decisions.values() for trial in decision.cut]

    def left(self) -> int:
        """Return how many trials to train now; a race adds more when it knows which trials continue."""
        return sum(len(decision.wanted) for decision in self._decisions.values())

    def total(self) -> int:
        """Return the sum over methods."""
        return sum(decision.total for decision in self._decisions.values())

    def _decide(self, contest: Contest) -> None:
        cells = self._cells[contest]
        self._decisions[contest] = decision = self.decide(cells, self._known)
        now = sum(assignment.until - epochs_seen(assignment.trial, self._known) for assignment in decision.wanted)
        self._epochs_left[contest] = max(now, self.least_epochs_left(cells, self._known)) if decision.wanted else 0
