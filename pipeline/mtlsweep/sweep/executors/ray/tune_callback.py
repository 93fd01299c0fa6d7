"""Pass Tune's events to the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial as TuneTrial

from mtlsweep.errors import first_line
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.executors.attempts import Attempts
from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.host_trouble import Host, Trouble
from mtlsweep.sweep.executors.ray.room import Room
from mtlsweep.sweep.executors.ray.tune_searcher import AttemptSearcher
from mtlsweep.sweep.executors.ray.unsaved import Unsaved
from mtlsweep.trials.curve import StoredCurve
from mtlsweep.trials.state import state_from_json


class WorkCallback(Unsaved, Callback):
    """Reports the events of attempts to the work.

    Args:
        work: receives the events of running trials.
        attempts: receives the ends of attempts.
        searcher: knows the attempt of each trial of Tune's.
        ledger: marks trials that exceeded the time limit.
        room: is read again while trials run.
        take_host: see `LedgerCheckpoints`.
    """

    def __init__(
        self,
        work: Work,
        attempts: Attempts,
        searcher: AttemptSearcher,
        ledger: Ledger,
        room: Room,
        take_host: Callable[[str], str | None],
    ) -> None:
        self._work = work
        self._attempts = attempts
        self._searcher = searcher
        self._ledger = ledger
        self._room = room
        self._take_host = take_host
        self._started: set[str] = set()
        self._failed_in_a_spoilt_process: set[str] = set()

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Look whether hosts have come or gone."""
        if self._room.read_again():
            self._work.devices(self._room.sentences)

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Report the start of a trial."""
        self._started.add(trial.trial_id)
        self._work.started(self._searcher.attempt[trial.trial_id].assignment)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """Report what a worker sent: epochs, the end of a trial, trouble of its host, or a failed checkpoint write."""
        attempt = self._searcher.attempt[trial.trial_id]
        if "checkpoint_error" in result:
            self._work.unwritable(result["checkpoint_error"])
        elif "spoilt_process" in result:
            self._failed_in_a_spoilt_process.add(trial.trial_id)
        elif "trouble" in result:
            self._attempts.had_trouble(attempt, Host(*result["host"]), Trouble(**result["trouble"]), starts=1)
        else:
            if records := StoredCurve(result["records"]):
                self._work.epochs(attempt.assignment, records, result.get("hostname", ""))
            if "state" in result:
                self._attempts.ended(attempt, state_from_json(result["state"]), Host(*result["host"]), starts=1)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Let a trial start again whose process died, or report that it did so more often than `resources.worker_retries` allows."""
        attempt, started = self._searcher.attempt[trial.trial_id], trial.trial_id in self._started
        if trial.trial_id in self._failed_in_a_spoilt_process:
            self._attempts.start_again(attempt)
            return
        key = attempt.assignment.trial.key
        if self._attempts.died(attempt, self._take_host(key) if started else None, self._room.living):
            print(f"{attempt.assignment.trial.name}: its worker process died, and it starts again", flush=True)
            return
        if not started:
            self._work.no_host(f"worker processes do not start: {first_line(trial.get_error())}")
        elif self._ledger.checkpoints.has_hung(key):
            self._attempts.gave_up(attempt, "time", "it took longer than `resources.trial_hours` allows")
        else:
            detail = str((trial.error_file and trial.get_error()) or "the worker process died")
            self._attempts.gave_up(attempt, "worker", detail)


class WorkStopper(Unsaved, Stopper):
    """Stops all running Tune trials when the work stops; their resume points stay."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._work.stopping() is not None

    def stop_all(self) -> bool:
        """Whether to stop all trials."""
        return self._work.stopping() is not None
