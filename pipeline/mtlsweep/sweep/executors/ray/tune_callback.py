"""Pass Tune's events to the work."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial as TuneTrial

from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.ray.tune_searcher import WorkSearcher
from mtlsweep.sweep.executors.ray.unsaved import Unsaved
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import StoredCurve
from mtlsweep.trials.state import Finished, Outcome, state_from_json
from mtlsweep.trials.trial import Trial


class WorkCallback(Unsaved, Callback):
    """Reports the events of assignments to the work.

    Args:
        work: receives the events.
        searcher: restarts trials that ran out of memory.
        ledger: marks trials that exceeded the time limit.
    """

    def __init__(self, work: Work, searcher: WorkSearcher, ledger: Ledger) -> None:
        self._work = work
        self._searcher = searcher
        self._ledger = ledger
        self._assignments: dict[str, Assignment] = {}

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Report the start of a trial."""
        self._work.started(self._assignment(trial))

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """Report epochs, the end of a trial, or a failed checkpoint write."""
        assignment = self._assignment(trial)
        if "checkpoint_error" in result:
            self._work.unwritable(result["checkpoint_error"])
            return
        if records := StoredCurve(result["records"]):
            self._work.epochs(assignment, records)
        if "state" in result:
            state = state_from_json(result["state"])
            if isinstance(state, Finished) and state.cause == "oom" and not trial.config["alone"]:
                self._searcher.retry_alone(assignment)
            else:
                self._work.ended(assignment, state, result["host"], trial.num_failures + 1)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Report a trial whose worker died more often than `resources.worker_retries` allows."""
        assignment = self._assignment(trial)
        if self._ledger.checkpoints.has_hung(assignment.trial.key):
            cause, detail = "time", "it took longer than `resources.trial_hours` allows"
        else:
            cause, detail = "worker", str((trial.error_file and trial.get_error()) or "the worker process died")
        self._work.ended(assignment, Finished(Outcome.FAILED, (), cause, detail), "", trial.num_failures)

    def _assignment(self, trial: TuneTrial) -> Assignment:
        if trial.trial_id not in self._assignments:
            self._assignments[trial.trial_id] = Assignment(
                Trial.from_json(trial.config["trial"]), trial.config["until"]
            )
        return self._assignments[trial.trial_id]


class WorkStopper(Unsaved, Stopper):
    """Stops all running Tune trials when the work stops; their resume points stay."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._work.stopping() is not None

    def stop_all(self) -> bool:
        """Whether to stop all trials."""
        return self._work.stopping() is not None
