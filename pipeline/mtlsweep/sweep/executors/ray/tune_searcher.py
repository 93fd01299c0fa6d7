"""Tune asks which trial comes next; the work answers. It holds no truth; the ledger does."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.ray.unsaved import Unsaved
from mtlsweep.trials.assignment import Assignment


class WorkSearcher(Unsaved, Searcher):
    """Hands the work's assignments to Tune, and those again that ran out of memory.

    Args:
        work: decides.
    """

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._running: set[str] = set()
        self._again: list[Assignment] = []

    def retry_alone(self, assignment: Assignment) -> None:
        """Start a trial again that ran out of memory, next and with a device to itself."""
        self._again.append(assignment)

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, None to be asked again, or `Searcher.FINISHED`."""
        stopping = self._work.stopping() is not None
        alone = bool(self._again) and not stopping
        assignment = self._again.pop() if alone else None if stopping else self._work.next()
        if assignment is None:
            return None if self._running and not stopping else Searcher.FINISHED
        self._running.add(trial_id)
        return {"trial": assignment.trial.to_json(), "until": assignment.until, "alone": alone}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Forget a trial; the work heard of its end already."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""
