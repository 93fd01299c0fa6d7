"""Give Tune the next attempt, and its order. The state of the sweep is in the ledger, not here."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from mtlsweep.sweep.executors.attempts import Attempt, Attempts
from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.ray.places import Places
from mtlsweep.sweep.executors.ray.room import Room
from mtlsweep.sweep.executors.ray.unsaved import Unsaved


class AttemptSearcher(Unsaved, Searcher):
    """Gives attempts to Tune; each is a trial of Tune's.

    Args:
        work: says when to stop.
        attempts: provides attempts.
        places: where they may run.
        room: says how many at once.
    """

    def __init__(self, work: Work, attempts: Attempts, places: Places, room: Room) -> None:
        super().__init__()
        self._work = work
        self._attempts = attempts
        self._places = places
        self._room = room
        self.running: dict[str, None] = {}
        """Tune's ids of the trials that run or wait for a process, in the order in which they were suggested."""
        self.attempt: dict[str, Attempt] = {}
        """By Tune's id of the trial."""

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next attempt, None to ask again later, or `Searcher.FINISHED`."""
        if len(self.running) >= self._room.limit and self._work.stopping() is None:
            return None
        attempt = self._attempts.next()
        if attempt is None:
            return None if self.running and self._work.stopping() is None else Searcher.FINISHED
        self.running[trial_id] = None
        self.attempt[trial_id] = attempt
        assignment = attempt.assignment
        place = self._places.take(trial_id, attempt)
        return {"trial": assignment.trial.to_json(), "until": assignment.until, "place": place}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Remove a trial; the callback has reported its end to the work."""
        self.running.pop(trial_id, None)
        self._places.release(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Do nothing; see `Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing; see `Unsaved`."""


class InOrder(Unsaved, FIFOScheduler):
    """Lets the process of a trial that ended train the trial that has waited longest without a process being started for it.

    Tune's own order takes the first trial that waits. If a process is being started for it on a host that has just come, that
    process is thrown away; where trials are shorter than the start of a process, the host would never be used.

    Args:
        searcher: knows the order of the attempts.
        room: says how many processes there may be.
    """

    def __init__(self, searcher: AttemptSearcher, room: Room) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._searcher = searcher
        self._room = room

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """Return the trial that gets a process that is there; if there is none, it waits on."""
        live = {
            trial.trial_id: trial for trial in tune_controller.get_live_trials()
        }  # of all there may be many thousands
        begun = [live[trial_id] for trial_id in self._searcher.running if trial_id in live]
        waiting = [trial for trial in begun if trial.status == TuneTrial.PENDING]
        running = sum(trial.status == TuneTrial.RUNNING for trial in begun)
        starting = max(0, self._room.slots - running - 1)
        return waiting[starting] if starting < len(waiting) else None
