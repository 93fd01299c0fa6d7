"""Give Tune the next attempt. The state of the sweep is in the ledger, not here."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from mtlsweep.sweep.executors.attempts import Attempt, Attempts
from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.ray.places import Places
from mtlsweep.sweep.executors.ray.unsaved import Unsaved


class AttemptSearcher(Unsaved, Searcher):
    """Gives attempts to Tune; each is a trial of Tune's.

    Args:
        work: says when to stop.
        attempts: provides attempts.
        places: where they may run.
    """

    def __init__(self, work: Work, attempts: Attempts, places: Places) -> None:
        super().__init__()
        self._work = work
        self._attempts = attempts
        self._places = places
        self._running: set[str] = set()
        self.attempt: dict[str, Attempt] = {}
        """By Tune's id of the trial."""

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next attempt, None to ask again later, or `Searcher.FINISHED`."""
        attempt = self._attempts.next()
        if attempt is None:
            return None if self._running and self._work.stopping() is None else Searcher.FINISHED
        self._running.add(trial_id)
        self.attempt[trial_id] = attempt
        assignment = attempt.assignment
        place = self._places.take(trial_id, attempt)
        return {"trial": assignment.trial.to_json(), "until": assignment.until, "place": place}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Remove a trial; the callback has reported its end to the work."""
        self._running.discard(trial_id)
        self._places.release(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing; see `Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing; see `Unsaved`."""
