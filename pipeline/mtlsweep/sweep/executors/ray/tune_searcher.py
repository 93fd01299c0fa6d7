"""Give Tune the next trial of the work. The state of the sweep is in the ledger, not here."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.ray.unsaved import Unsaved
from mtlsweep.trials.assignment import Assignment


class WorkSearcher(Unsaved, Searcher):
    """Gives the work's assignments to Tune, and repeats those that ran out of memory.

    Args:
        work: provides assignments.
    """

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work
        self._running: set[str] = set()
        self._retries: list[Assignment] = []

    def retry_alone(self, assignment: Assignment) -> None:
        """Run a trial that ran out of memory again, as the next trial and alone on a device."""
        self._retries.append(assignment)

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, None to ask again later, or `Searcher.FINISHED`."""
        stopping = self._work.stopping() is not None
        alone = bool(self._retries) and not stopping
        assignment = self._retries.pop() if alone else None if stopping else self._work.next()
        if assignment is None:
            return None if self._running and not stopping else Searcher.FINISHED
        self._running.add(trial_id)
        return {"trial": assignment.trial.to_json(), "until": assignment.until, "alone": alone}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Remove a trial; the callback has reported its end to the work."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing; see `Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing; see `Unsaved`."""
