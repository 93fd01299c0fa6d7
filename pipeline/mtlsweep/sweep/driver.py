"""The driver: hands out what the strategy wants, and writes what becomes of it to the ledger first, then to the views."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.view import View
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.search.live_delta_m import Reference
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies import Assignment, Strategy
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import EpochRecord, Execution, Finished, Outcome, Paused, PausedTrial, State, TrialRecord
from mtlsweep.trials.trial import Trial


class Driver:
    """The work of one stage, for an executor (see `Work`).

    Args:
        ledger: the truth.
        strategy: decides what is trained further.
        stop: says when no further trial may start.
        progress: what people watch.
        reference: what the live Delta_m compares with.
        provenance: recorded with every result.
        study: the Optuna study, if the stage has one.
        views: what else hears of trials: MLflow's recorder, the keeper of weights.
        paused: trials that the strategy stopped for now in an earlier run.
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
        self._trouble: UserError | None = None
        self._cut(strategy.cut_now())

    def next(self) -> Assignment | None:
        """Return what the strategy wants most, if anything may start."""
        if self.stopped_by() is not None:
            return None
        assignment = self._strategy.next(self._suggest)
        if assignment is not None:
            self._stop.count_start()
            if self._study is not None:
                self._study.begin(assignment.trial.cell)
        return assignment

    def stopping(self) -> str | None:
        """Return why running trials shall end now, or None."""
        return "nothing can be recorded" if self._trouble is not None else self._stop.reason()

    def stopped_by(self) -> str | None:
        """Return why no further trial may start, or None."""
        return self.stopping() or self._stop.reason_to_start_no_more()

    def raise_trouble(self) -> None:
        """Raise the error that kept results from being written, if there was one.

        Raises:
            UserError: nothing can be recorded any more; what was recorded before is safe.
        """
        if self._trouble is not None:
            raise self._trouble

    def started(self, assignment: Assignment) -> None:
        """Record that a trial begins."""
        trial = assignment.trial
        self._started_at.setdefault(trial.key, time.time())
        try:
            self._ledger.start(trial)
        except OSError as error:
            self.unwritable(error.strerror or str(error))
        self._progress.start(trial)

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord]) -> None:
        """Show epochs of a running trial."""
        trial = assignment.trial
        derived = self._reference.derive([record.metrics for record in records])
        for record, values in zip(records, derived, strict=True):
            self._progress.epoch(trial, record, values.get("val/delta_m"))
        for view in self._views:
            view.epochs(trial, records, self._started_at[trial.key])
        outage = next((view.outage for view in self._views if view.outage is not None), None)
        self._progress.note = f"MLflow is away: {outage}" if outage else None  # the one view that another machine keeps

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        """Record how far a trial has got or how it ended, and let the strategy decide anew."""
        trial = assignment.trial
        execution = Execution(
            started_at=self._started_at[trial.key],
            finished_at=time.time(),
            seconds=sum(record.seconds for record in state.curve),
            host=host,
            attempts=attempts,
            provenance=self._provenance,
        )
        self._progress.stop(trial)
        if isinstance(state, Paused):
            self._pause(TrialRecord(trial, state, execution))
        else:
            self._finish(TrialRecord(trial, state, execution))
        self._cut(self._strategy.take(TrialRecord(trial, state, execution)))
        self._progress.planned, self._progress.epochs_left = self._strategy.total(), self._strategy.epochs_left()

    def unwritable(self, reason: str) -> None:
        """Stop the sweep: results or checkpoints cannot be written any more."""
        self._trouble = UserError(
            f"results cannot be written to `{self._ledger.directory}` ({reason}); make room or make it writable and run "
            "`dvc repro` again: what was recorded is safe, and nothing of it is trained twice."
        )

    def _suggest(self) -> Cell | None:
        return None if self._study is None else self._study.suggest()

    def _pause(self, record: PausedTrial) -> None:
        self._paused[record.trial.key] = record
        try:
            self._ledger.pause(record)
        except OSError as error:
            self.unwritable(error.strerror or str(error))

    def _cut(self, trials: Sequence[Trial]) -> None:
        """Record trials that the strategy will not train further, with what was seen of each, unless that was done before."""
        for trial in trials:
            if trial.key in self._paused:
                paused = self._paused.pop(trial.key)
                self._finish(TrialRecord(trial, Finished(Outcome.PRUNED, paused.state.curve), paused.execution))

    def _finish(self, record: TrialRecord[Finished]) -> None:
        """Write a trial's end to the ledger first, then to the views."""
        try:
            self._ledger.finish(record)
        except OSError as error:
            self.unwritable(error.strerror or str(error))
            return
        for view in self._views:
            view.finish(record)
        self._progress.finish(record.state.outcome)
        if self._study is not None:
            self._study.tell(record)
