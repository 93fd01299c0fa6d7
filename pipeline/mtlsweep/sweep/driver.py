"""The driver: hands out the trials that the strategy wants, and writes results to the ledger first, then to the views."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mtlsweep.errors import UserError, first_line
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.view import View
from mtlsweep.sweep.failing_together import FailingTogether
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies import Assignment, Strategy
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord, seconds_of
from mtlsweep.trials.metric_names import live_delta_m
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome, Paused, PausedTrial, State, TrialRecord
from mtlsweep.trials.trial import Trial


class Driver:
    """The work of one stage, for an executor (see `Work`).

    Args:
        ledger: the authoritative record of trials.
        strategy: decides which trials to train.
        stop: decides when to stop the sweep.
        progress: the display for users.
        reference: baseline values for the live Delta_m.
        provenance: recorded with every result.
        study: the Optuna study, if the stage has one.
        views: receive every epoch and every finished trial, such as the MLflow recorder and the weights that are kept.
        paused: trials that the strategy paused in an earlier run.
        cells: all cells of the plan.
    """

    def __init__(
        self,
        ledger: Ledger,
        strategy: Strategy,
        stop: StopRequest,
        progress: Progress,
        reference: Reference,
        provenance: Mapping[str, Any],
        study: CellStudy | None = None,
        views: Sequence[View] = (),
        paused: Iterable[PausedTrial] = (),
        cells: Iterable[Cell] = (),
    ) -> None:
        self._ledger = ledger
        self._strategy = strategy
        self._stop = stop
        self._progress = progress
        self._reference = reference
        self._provenance = provenance
        self._study = study
        self._views = views
        self._paused = {one.trial.key: one for one in paused}
        self._started_at: dict[str, float] = {}
        self._lost_seconds = defaultdict[str, float](float)
        self._earlier_device_seconds: dict[str, float] = {}
        for key, one in self._paused.items():
            self._lost_seconds[key] = one.execution.seconds - sum(seconds_of(one.state.curve))
            self._earlier_device_seconds[key] = one.execution.cost_seconds
        self._epoch_seconds: dict[str, dict[int, float]] = defaultdict(dict)
        self._failing = FailingTogether(cells)
        self._error: UserError | None = None
        self._changed: list[str] = []
        self._cut(strategy.cut_now())

    def next(self) -> Assignment | None:
        """Return the next assignment of the strategy, or None if no trial may start."""
        if self.stopped_by() is not None:
            return None
        assignment = self._strategy.next(self._suggest)
        if assignment is not None:
            self._stop.count_start()
            if self._study is not None:
                self._study.begin(assignment.trial.cell)
        return assignment

    def stopping(self) -> str | None:
        """Return the reason to stop running trials now, or None."""
        if self._error is None and (lost := self._ledger.storage.lost) is not None:
            self.unwritable(first_line(lost))
        if self._error is not None:
            return str(self._error)
        if any(view.error is not None for view in self._views):
            return "recording failed"
        return self._stop.reason()

    def stopped_by(self) -> str | None:
        """Return the reason to start no more trials, or None."""
        return self.stopping() or self._failing.reason() or self._stop.reason_to_start_none()

    def unfinished_because(self) -> str | None:
        """Return the reason why trials of the plan have no result, or None."""
        if self.stopped_by() is not None or not self._changed:
            return self.stopped_by()
        others = f" (and {len(self._changed) - 1} more)" if len(self._changed) > 1 else ""
        return f"{self._changed[0]}{others}"

    def raise_error(self) -> None:
        """Raise the error that stopped the sweep, if there was one.

        Raises:
            UserError: results cannot be written, or no host can run trials; earlier results are safe.
        """
        if self._error is not None:
            raise self._error

    def started(self, assignment: Assignment) -> None:
        """Record that a trial starts."""
        trial = assignment.trial
        self._started_at.setdefault(trial.key, time.time())
        try:
            self._ledger.start(trial)
        except OSError as error:
            self.unwritable(error.strerror or first_line(error))
        self._progress.start(trial)

    def interrupted(self, assignment: Assignment) -> None:
        """Note that a trial waits for another device."""
        self._progress.interrupt(assignment.trial)

    def devices(self, sentences: Sequence[str]) -> None:
        """Show on which devices trials run."""
        for sentence in sentences:
            if sentence not in self._progress.devices:
                print(sentence, flush=True)
        self._progress.devices = sentences

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord], host: str = "") -> None:
        """Show epochs of a running trial."""
        trial = assignment.trial
        seconds = self._epoch_seconds[trial.key]
        for record in records:  # an epoch that comes again was lost with its worker
            self._lost_seconds[trial.key] += seconds.get(record.epoch, 0.0)
            seconds[record.epoch] = record.seconds
        derived = self._reference.derive([record.metrics for record in records])
        for record, values in zip(records, derived, strict=True):
            self._progress.epoch(trial, record, values.get(live_delta_m("val")), host)
        for view in self._views:
            view.epochs(trial, records, self._started_at[trial.key])
        outage = next((view.outage for view in self._views if view.outage is not None), None)
        self._progress.note = (
            f"MLflow is not reachable: {outage}" if outage else None
        )  # only MLflow can be on another machine

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        """Record a paused or finished trial, and let the strategy decide again."""
        trial = assignment.trial
        self._progress.stop(trial)
        device_seconds = self._progress.clock.seconds_of(trial.key) + self._earlier_device_seconds.get(trial.key, 0.0)
        execution = Execution(
            started_at=self._started_at[trial.key],
            finished_at=time.time(),
            seconds=sum(seconds_of(state.curve)) + self._lost_seconds[trial.key],
            host=host,
            attempts=attempts,
            provenance=self._provenance,
            device_seconds=device_seconds,
        )
        if isinstance(state, Paused):
            self._cut(self._strategy.update(self._pause(TrialRecord(trial, state, execution))))
        else:
            self._cut(self._strategy.update(self._finish(TrialRecord(trial, state, execution))))
        self._progress.planned, self._progress.epochs_left = self._strategy.total(), self._strategy.epochs_left()

    def unwritable(self, reason: str) -> None:
        """Stop the sweep because results or checkpoints cannot be written."""
        self._error = UserError(
            f"results cannot be written to `{self._ledger.storage.place}` ({reason}); "
            f"{self._ledger.storage.remedy}, then run `dvc repro` again to continue."
        )

    def changed(self, assignment: Assignment, reason: str) -> None:
        """Leave a trial without a result; the next run plans it with the code and files that there are then."""
        self._progress.stop(assignment.trial)
        self._changed.append(reason)

    def no_host(self, reason: str) -> None:
        """Stop the sweep because no host can run trials."""
        self._error = UserError(
            f"no host can run trials ({reason}); no trial was recorded as failed because of it: "
            "correct it, then run `dvc repro` again to continue."
        )

    def _suggest(self, start: Cell | None = None) -> Cell | None:
        return None if self._study is None else self._study.suggest(start)

    def _pause(self, record: PausedTrial) -> PausedTrial:
        """Write a paused trial to the ledger; return it as the ledger keeps it, with its curve left on disk."""
        try:
            record = self._ledger.pause(record)
        except OSError as error:
            self.unwritable(error.strerror or first_line(error))
        self._paused[record.trial.key] = record
        return record

    def _cut(self, trials: Sequence[Trial]) -> None:
        """Record paused trials as pruned, with their curves; skip trials that are recorded already."""
        for trial in trials:
            if trial.key in self._paused:
                paused = self._paused.pop(trial.key)
                self._finish(TrialRecord(trial, Finished(Outcome.PRUNED, paused.state.curve), paused.execution))

    def _finish(self, record: FinishedTrial) -> FinishedTrial:
        """Write a finished trial to the ledger first, then to the views; return it with its curve left on disk."""
        try:
            kept = self._ledger.finish(record)
        except OSError as error:
            self.unwritable(error.strerror or first_line(error))
            return record
        for view in self._views:
            view.finish(record)
        self._progress.finish(record.trial, record.state.outcome)
        self._failing.add(kept)
        if self._study is not None:
            self._study.tell(kept)
        return kept
