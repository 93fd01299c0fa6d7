"""The runs of one suite's trials, as their one writer sees them.

One flat run per trial. Writing is idempotent: a run is found by its `trial_key`, its rows carry the
trial's own timestamps, and a run whose status is terminal is complete.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from mtlsweep.errors import UserError
from mtlsweep.record.mlflow.database import FoundRun
from mtlsweep.record.mlflow.entries import AtBest, best_rows, dataset_of, end_tags, milliseconds, params_of
from mtlsweep.record.mlflow.experiment import LEDGER_ID, Experiment, found_run
from mtlsweep.record.mlflow.history import MetricHistory
from mtlsweep.record.mlflow.outage import is_outage, server_errors
from mtlsweep.record.mlflow.server import shown_uri
from mtlsweep.record.mlflow.system_metrics import watch_machine
from mtlsweep.record.mlflow.views import saved_views
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

BATCH_OF_METRICS = 1000
"""Most metric rows of one `log_batch` call (a limit of MLflow)."""

STATUS = {Outcome.DONE: "FINISHED", Outcome.DIVERGED: "FINISHED", Outcome.PRUNED: "KILLED", Outcome.FAILED: "FAILED"}

Derived = Callable[[Sequence[Mapping[str, float]]], Sequence[Mapping[str, float]]]
"""Metrics computed from the metrics of epochs, such as `val/delta_m` against the baselines at hand."""


def nothing_derived(epochs: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
    """Derive no metric from any epoch."""
    return [{} for _ in epochs]


def nothing_is_best(epochs: Sequence[Mapping[str, float]]) -> None:
    """Choose no epoch."""


@dataclass
class _Run:
    """What this process knows of one run."""

    run_id: str
    status: str
    reference: str
    ended: int | None = None
    """Time in ms; None while it runs."""
    described: bool = False
    """Whether its params and its dataset are known to be written."""
    rows: set[tuple[int, int]] = field(default_factory=set)
    """(epoch, timestamp in ms) of the records logged from here."""


class Tracker:
    """Writer of the runs of one ledger's trials.

    Its methods raise an `OutageError` or a `RefusalError` when the server does not do what it is asked to do.

    Args:
        uri: tracking URI, see `resolve_uri`.
        suite: name of the suite, and of the experiment.
        ledger_id: see `Ledger.id`; runs of other ledgers are left alone.
        derived: metrics to log beside each epoch's own.
        at_best: the epoch that counts, whose figures are logged as `best/...` when a trial with a result has ended.
        reference: names what `derived` and `at_best` compare with; a run logged with another is written anew.

    Raises:
        UserError: the store cannot be reached or opened, or the experiment is deleted.
    """

    def __init__(
        self,
        uri: str,
        suite: str,
        ledger_id: str,
        derived: Derived = nothing_derived,
        at_best: AtBest = nothing_is_best,
        reference: str = "",
    ) -> None:
        self._experiment = Experiment(uri, suite, ledger_id)
        self._client = self._experiment.client
        self._uri = self._experiment.uri
        self._derived = derived
        self._at_best = at_best
        self._reference = reference
        self._views_are_saved = False
        self._runs: dict[str, _Run] = {}
        """This ledger's run of each trial."""
        self._unclaimed: dict[str, list[_Run]] = defaultdict(list)
        """Complete runs of each trial that name no ledger, from a version that did not write it."""
        self._in_doubt: set[str] = set()
        """Trials whose run may exist, since the answer to its creation was lost."""
        with server_errors(self._uri):
            self._index()

    def has(self, finished: FinishedTrial) -> bool:
        """Whether the run of a finished trial is whole, of the same outcome, and compared with the reference at hand."""
        run = self._runs.get(finished.trial.key)
        return run is not None and run.status == STATUS[finished.state.outcome] and run.reference == self._reference

    def drop_unfinished(self) -> None:
        """Delete runs left RUNNING by a sweep that died. Only the holder of the suite's lease may call it."""
        with server_errors(self._uri):
            for key, run in list(self._runs.items()):
                if run.status == "RUNNING":
                    self._delete(key)

    def log_epochs(self, trial: Trial, records: Sequence[EpochRecord], started_at: float) -> None:
        """Show some epochs of a trial that is still running."""

        def write() -> None:
            run = self._open_run(trial, started_at)
            if run.status == "RUNNING":
                self._log_records(run, records)

        with server_errors(self._uri):
            self._write_even_if_gone(trial.key, write)

    def finish(self, finished: FinishedTrial, tags: Mapping[str, str]) -> None:
        """Bring the run of a finished trial to what the ledger says, whatever it held before."""
        with server_errors(self._uri):
            self._claim(finished)
            if not self.has(finished):
                self._write_even_if_gone(finished.trial.key, lambda: self._finish(finished, tags))

    def forget(self, finished: FinishedTrial) -> None:
        """Delete the run of a trial, if there is one."""
        with server_errors(self._uri):
            self._claim(finished)
            if finished.trial.key in self._runs:
                self._delete(finished.trial.key)

    def can_write(self) -> bool:
        """Whether the server takes, or refuses, a write that changes nothing; else it is down."""
        return self._experiment.can_write()

    def watch_machine(self) -> Callable[[], None]:
        """Record system metrics if the environment asks for them; return how to end that."""
        with server_errors(self._uri):
            return watch_machine(self._experiment)

    def history(self, keys: Iterable[str]) -> MetricHistory:
        """Return the reader of the named trials' metrics.

        Raises:
            UserError: a trial has no complete run of this ledger.
        """
        runs = {key: run.run_id for key, run in self._runs.items() if run.status != "RUNNING"}
        wanted = set(keys)
        if missing := wanted - runs.keys():
            raise UserError(
                f"{len(missing)} finished trials (such as {min(missing)}) have no complete run in MLflow at {shown_uri(self._uri)}; "
                f"run `mtlsweep mlflow rebuild {self._experiment.suite}`."
            )
        with server_errors(self._uri):
            return MetricHistory(self._client, self._experiment.id, {key: runs[key] for key in wanted})

    def outcomes(self) -> dict[str, str]:
        """Return the `outcome` tag of every complete run of this ledger, by trial key."""
        with server_errors(self._uri):
            runs = self._experiment.runs_of_trials()
        own = [run for run in runs if run.tags.get(LEDGER_ID) == self._experiment.ledger_id]
        return {run.tags["trial_key"]: run.tags.get("outcome", "") for run in own if run.status != "RUNNING"}

    def _index(self) -> None:
        """Find every trial's run; of two of this ledger with one key the complete or older one stays."""
        for entry in self._experiment.runs_of_trials():
            key, owner = entry.tags["trial_key"], entry.tags.get(LEDGER_ID)
            if owner not in (None, self._experiment.ledger_id):
                continue
            run = _known(entry)
            if owner is None:
                self._unclaimed[key].append(run)
                continue
            other = self._runs.setdefault(key, run)
            if other is not run:
                loser = run if other.status != "RUNNING" else other
                self._runs[key] = other if loser is run else run
                self._client.delete_run(loser.run_id)

    def _claim(self, finished: FinishedTrial) -> None:
        """Mark a run that names no ledger as this ledger's, if it ended in the millisecond that the ledger says."""
        key = finished.trial.key
        for run in self._unclaimed.get(key, ()):
            if key not in self._runs and run.ended == milliseconds(finished.execution.finished_at):
                self._client.set_tag(run.run_id, LEDGER_ID, self._experiment.ledger_id)
                self._runs[key] = run

    def _write_even_if_gone(self, key: str, write: Callable[[], None]) -> None:
        """Call `write`; if somebody has deleted the trial's run meanwhile, call it again, for a new run."""
        try:
            write()
        except MlflowException as error:
            run = self._runs.get(key)
            if run is None or is_outage(error) or not self._experiment.is_gone(run.run_id):
                raise
            del self._runs[key]
            write()

    def _finish(self, finished: FinishedTrial, tags: Mapping[str, str]) -> None:
        key, curve = finished.trial.key, tuple(finished.state.curve)  # which may have to be read
        found = self._runs.get(key)
        if found is not None and (found.status != "RUNNING" or not found.rows <= {_row(record) for record in curve}):
            self._delete(key)
        run = self._open_run(finished.trial, finished.execution.started_at)
        self._log_records(run, [record for record in curve if _row(record) not in run.rows])
        self._log_metrics(run, best_rows(finished.state.outcome, curve, self._at_best))
        self._client.log_batch(
            run.run_id, tags=[RunTag(name, value) for name, value in {**tags, **end_tags(finished)}.items()]
        )
        self._client.set_terminated(
            run.run_id, STATUS[finished.state.outcome], milliseconds(finished.execution.finished_at)
        )
        run.status = STATUS[finished.state.outcome]
        if finished.trial.cell.role == "mtl" and curve and not self._views_are_saved:
            self._save_views(curve[0].metrics)

    def _open_run(self, trial: Trial, started_at: float) -> _Run:
        """Return the trial's run, with params and dataset; make or complete it if an earlier try did not."""
        run = self._runs.get(trial.key)
        if run is None:
            run = self._runs[trial.key] = self._create(trial, started_at)
        if not run.described and run.status == "RUNNING":
            params = [Param(name, str(value)) for name, value in params_of(trial).items()]
            self._client.log_batch(run.run_id, params=params)  # the client sends 100 at a time
            self._client.log_inputs(run.run_id, [dataset_of(trial.cell.suite, trial.cell.data_fingerprint)])
            run.described = True
        return run

    def _create(self, trial: Trial, started_at: float) -> _Run:
        if trial.key in self._in_doubt:
            for entry in self._experiment.own_runs(f"tags.trial_key = '{trial.key}'"):
                self._in_doubt.remove(trial.key)
                return _known(found_run(entry))
        tags = {
            "trial_key": trial.key,
            "cell_key": trial.cell.key,
            "suite": trial.cell.suite,
            "role": trial.cell.role,
            "reference": self._reference,
            "mlflow.source.name": "mtlsweep",  # fills the UI's default column "Source"
            "mlflow.source.type": "LOCAL",
        }
        self._in_doubt.add(trial.key)
        created = self._experiment.create_run(trial.name, tags, milliseconds(started_at))
        self._in_doubt.remove(trial.key)
        return _known(found_run(created))

    def _save_views(self, metrics: Iterable[str]) -> None:
        """Offer the experiment's views in the UI, with columns for these metrics."""
        experiment = self._client.get_experiment(self._experiment.id)
        for tag, content in saved_views(metrics, experiment.creation_time or 0).items():
            if experiment.tags.get(tag) != content:
                self._client.set_experiment_tag(self._experiment.id, tag, content)
        self._views_are_saved = True

    def _delete(self, key: str) -> None:
        run_id = self._runs[key].run_id
        try:
            self._client.delete_run(run_id)
        except MlflowException:
            if not self._experiment.is_gone(run_id):
                raise
        del self._runs[key]

    def _log_records(self, run: _Run, records: Sequence[EpochRecord]) -> None:
        rows = []
        for record, derived in zip(records, self._derived([record.metrics for record in records]), strict=True):
            values = {**record.metrics, **derived}
            timestamp = _row(record)[1]
            rows += [Metric(name, value, timestamp, record.epoch) for name, value in values.items()]
        self._log_metrics(run, rows)
        run.rows |= {_row(record) for record in records}

    def _log_metrics(self, run: _Run, rows: Sequence[Metric]) -> None:
        for start in range(0, len(rows), BATCH_OF_METRICS):
            self._client.log_batch(run.run_id, metrics=rows[start : start + BATCH_OF_METRICS])


def _known(run: FoundRun) -> _Run:
    return _Run(run.run_id, run.status, run.tags.get("reference", ""), run.ended)


def _row(record: EpochRecord) -> tuple[int, int]:
    return record.epoch, milliseconds(record.finished_at)
