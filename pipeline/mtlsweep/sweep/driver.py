"""The driver's side of Tune: every report of a worker goes to the ledger first, then to the views."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.record.retention import WeightsKeeper
from mtlsweep.sweep.executors.ray.unsaved import Callback, TuneTrial, Unsaved
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.search.live_delta_m import Reference
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.strategies import Assignment, Strategy
from mtlsweep.trials.state import Execution, FinishedTrial, Outcome, TrialResult
from mtlsweep.trials.trial import Trial


class Driver(Unsaved, Callback):
    """Tune callback that writes what happens.

    Args:
        ledger: the truth.
        recorder: MLflow's writer.
        progress: what people watch.
        strategy: decides what is trained further.
        study: the Optuna study, if the stage has one.
        reference: what the live Delta_m compares with.
        weights: drops checkpoints that are not kept.
        paused: trials that the strategy stopped for now in an earlier run.
        provenance: recorded with every result.
    """

    def __init__(
        self,
        ledger: Ledger,
        recorder: Recorder,
        progress: Progress,
        strategy: Strategy,
        study: CellStudy | None,
        reference: Reference,
        weights: WeightsKeeper,
        paused: Iterable[FinishedTrial],
        provenance: Mapping[str, Any],
    ) -> None:
        self.ledger = ledger
        self.progress = progress
        self.strategy = strategy
        self.study = study
        self._recorder = recorder
        self._reference = reference
        self._weights = weights
        self._provenance = provenance
        self._started_at: dict[str, float] = {}
        self._trials: dict[str, Trial] = {}
        self._paused = {one.trial.key: one for one in paused}
        self.retry_alone: Callable[[Assignment], None] | None = None
        """Set while a cluster runs: starts a trial again with a device to itself."""
        self.trouble: UserError | None = None
        """Why nothing can be recorded any more; the sweep stops, and what was recorded before is safe."""

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Record that a trial begins."""
        ours = self._trial(trial)
        self._started_at.setdefault(ours.key, time.time())
        try:
            self.ledger.start(ours)
        except OSError as error:
            self._give_up(error.strerror or str(error))
        self.progress.start(ours)

    def on_trial_result(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, result: dict[str, Any], **info: Any
    ) -> None:
        """Take some epochs, the end of a trial, or word that a worker's checkpoints cannot be written."""
        ours = self._trial(trial)
        if "unwritable" in result:
            self._give_up(result["unwritable"])
            return
        if records := TrialResult.from_json(result["records"]).curve:
            self._recorder.epochs(ours, records, self._started_at[ours.key])
            derived = self._reference.derive([record.metrics for record in records])
            for record, values in zip(records, derived, strict=True):
                self.progress.epoch(ours, record, values.get("val/delta_m"))
            self.progress.note = f"MLflow is away: {self._recorder.outage}" if self._recorder.outage else None
        if "result" in result:
            ended = TrialResult.from_json(result["result"])
            if ended.cause == "oom" and not trial.config["alone"] and self.retry_alone is not None:
                self.progress.stop(ours)
                self.retry_alone(Assignment(ours, trial.config["until"]))
            else:
                self._end(ours, ended, result["host"], trial.num_failures)

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        """Take a trial whose worker died as often as `resources.worker_retries` allows."""
        ours = self._trial(trial)
        if self.ledger.has_hung(ours.key):
            cause, detail = "time", "it took longer than `resources.trial_hours` allows"
        else:
            cause, detail = "worker", str((trial.error_file and trial.get_error()) or "the worker process died")
        self._end(ours, TrialResult(Outcome.FAILED, (), cause, detail), "", trial.num_failures - 1)

    def cut(self, trials: Sequence[Trial]) -> None:
        """Record trials that the strategy will not train further, with what was seen of each, unless that was done before."""
        for trial in trials:
            if trial.key in self._paused:
                self._record(self._paused.pop(trial.key))

    def _end(self, trial: Trial, result: TrialResult, host: str, failures: int) -> None:
        execution = Execution(
            started_at=self._started_at[trial.key],
            finished_at=time.time(),
            seconds=sum(record.seconds for record in result.curve),
            host=host,
            attempts=failures + 1,
            provenance=self._provenance,
        )
        seen = FinishedTrial(trial, result, execution)
        self.progress.stop(trial)
        if result.outcome is Outcome.PRUNED:  # the strategy stopped it for now; it may go on, or be cut
            self._paused[trial.key] = seen
            try:
                self.ledger.pause(seen)
            except OSError as error:
                self._give_up(error.strerror or str(error))
        else:
            self._record(seen)
        self.cut(self.strategy.take(seen))
        self.progress.planned, self.progress.epochs_left = self.strategy.total(), self.strategy.epochs_left()

    def _record(self, finished: FinishedTrial) -> None:
        """Write a trial's end to the ledger first, then to the views."""
        try:
            self.ledger.finish(finished)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return
        self._weights.take(finished)
        self._recorder.finish(finished)
        self.progress.finish(finished.result.outcome)
        if self.study is not None:
            self.study.tell(finished)

    def _give_up(self, reason: str) -> None:
        self.trouble = UserError(
            f"results cannot be written to `{self.ledger.directory}` ({reason}); make room or make it writable and run "
            "`dvc repro` again: what was recorded is safe, and nothing of it is trained twice."
        )

    def _trial(self, trial: TuneTrial) -> Trial:
        if trial.trial_id not in self._trials:
            self._trials[trial.trial_id] = Trial.from_json(trial.config["trial"])
        return self._trials[trial.trial_id]
