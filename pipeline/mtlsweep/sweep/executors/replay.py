"""Replay recorded curves instead of training: shows within seconds what a strategy would do."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping, Sequence

from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial, Paused, State


class ReplayExecutor(Executor):
    """Takes the result of every assignment from the record of its complete trial.

    It simulates the recorded time: an assignment takes the seconds of the epochs it adds, and with
    several slots assignments end in that order.

    Args:
        records: complete trials, by key.
        slots: number of parallel trials.
    """

    def __init__(self, records: Mapping[str, FinishedTrial], slots: int = 1) -> None:
        self._records = records
        self.slots = slots
        self.seconds = 0.0
        """Device seconds of all epochs replayed so far."""
        self.epochs = 0
        """Number of epochs replayed so far."""

    def run(self, work: Work) -> None:
        """Replay until the work is complete or stops.

        Raises:
            LookupError: an assignment needs a trial or epochs that are not in the records.
        """
        now, order = 0.0, itertools.count()
        running: list[tuple[float, int, Assignment, State]] = []
        reached: dict[str, int] = {}
        while work.stopping() is None:
            while len(running) < self.slots and (assignment := work.next()) is not None:
                work.started(assignment)
                state = self._replay(assignment)
                added = state.curve[reached.get(assignment.trial.key, 0) :]
                reached[assignment.trial.key] = len(state.curve)
                self._count(added)
                ends_at = now + sum(record.seconds for record in added)
                heapq.heappush(running, (ends_at, next(order), assignment, state))
                work.epochs(assignment, added)
            if not running:
                return
            now, _, assignment, state = heapq.heappop(running)
            work.ended(assignment, state, "replay", attempts=1)

    def _replay(self, assignment: Assignment) -> State:
        trial = assignment.trial
        whole = self._records[trial.key].state
        if assignment.until < trial.cell.training.epochs and assignment.until <= len(whole.curve):
            return Paused(whole.curve[: assignment.until])
        return whole

    def _count(self, added: Sequence[EpochRecord]) -> None:
        self.epochs += len(added)
        self.seconds += sum(record.seconds for record in added)
