"""One suite's experiment, as its one writer sees it.

One flat run per trial. Writing is idempotent: a run is found by its `trial_key`, its rows carry the
trial's own timestamps, and a run whose status is terminal is complete.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from mtlsweep.errors import UserError, first_line
from mtlsweep.record.mlflow.entries import dataset_of, end_tags, params_of
from mtlsweep.record.mlflow.history import MetricHistory
from mtlsweep.record.mlflow.server import create_database, resolve_uri, shown_uri, tracking_origin
from mtlsweep.record.mlflow.system_metrics import watch_machine
from mtlsweep.record.mlflow.views import saved_views
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

BATCH_OF_METRICS = 1000
"""Most metric rows of one `log_batch` call (a limit of MLflow)."""

RUNS_PER_PAGE = 1000

TRAINING_EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
"""Makes the UI open an experiment with runs and charts rather than traces."""

STATUS = {Outcome.DONE: "FINISHED", Outcome.DIVERGED: "FINISHED", Outcome.PRUNED: "KILLED", Outcome.FAILED: "FAILED"}

Derived = Callable[[Sequence[Mapping[str, float]]], Sequence[Mapping[str, float]]]
"""Metrics computed from the metrics of epochs, such as `val/delta_m` against the baselines at hand."""


def nothing_derived(epochs: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
    """Derive no metric from any epoch."""
    return [{} for _ in epochs]


@dataclass
class _Run:
    """What this process knows of one run."""

    run_id: str
    status: str
    reference: str
    rows: set[tuple[int, int]] = field(default_factory=set)
    """(epoch, timestamp in ms) of the records logged from here."""


class Tracker:
    """Writer of one suite's experiment.

    Args:
        uri: tracking URI, see `resolve_uri`.
        suite: name of the suite, and of the experiment.
        derived: metrics to log beside each epoch's own.
        reference: names what `derived` compares with; a run logged with another is written anew.

    Raises:
        UserError: the store cannot be reached or opened.
    """

    def __init__(self, uri: str, suite: str, derived: Derived = nothing_derived, reference: str = "") -> None:
        self._uri = resolve_uri(uri)
        self._suite = suite
        self._derived = derived
        self._reference = reference
        self._views_are_saved = False
        try:
            create_database(self._uri)
            self._client = MlflowClient(tracking_uri=self._uri)
            self._experiment = self._find_experiment()
            self._runs = self._index()
        except Exception as error:  # whatever a database driver or an HTTP client raises for "not there"
            raise UserError(
                f"tracking server {shown_uri(self._uri)} cannot be used ({first_line(error)}); "
                f"start it, or set {tracking_origin()} (nothing was trained)."
            ) from error

    def has(self, finished: FinishedTrial) -> bool:
        """Whether the run of a finished trial is whole, of the same outcome, and compared with the reference at hand."""
        run = self._runs.get(finished.trial.key)
        return run is not None and run.status == STATUS[finished.state.outcome] and run.reference == self._reference

    def drop_unfinished(self) -> None:
        """Delete runs left RUNNING by a sweep that died. Only the holder of the suite's lease may call it."""
        for key, run in list(self._runs.items()):
            if run.status == "RUNNING":
                self._delete(key)

    def log_epochs(self, trial: Trial, records: Sequence[EpochRecord], started_at: float) -> None:
        """Show some epochs of a trial that is still running."""
        run = self._runs.get(trial.key) or self._create(trial, started_at)
        if run.status == "RUNNING":
            self._log_records(run, records)

    def finish(self, finished: FinishedTrial, tags: Mapping[str, str]) -> None:
        """Bring the run of a finished trial to what the ledger says, whatever it held before."""
        key, curve = finished.trial.key, finished.state.curve
        if self.has(finished):
            return
        run = self._runs.get(key)
        expected = {_row(record) for record in curve}
        if run is not None and (run.status != "RUNNING" or not run.rows <= expected):
            self._delete(key)
            run = None
        run = run or self._create(finished.trial, finished.execution.started_at)
        self._log_records(run, [record for record in curve if _row(record) not in run.rows])
        self._client.log_batch(
            run.run_id, tags=[RunTag(name, value) for name, value in {**tags, **end_tags(finished)}.items()]
        )
        end_time = int(finished.execution.finished_at * 1000)
        self._client.set_terminated(run.run_id, STATUS[finished.state.outcome], end_time)
        run.status = STATUS[finished.state.outcome]
        if finished.trial.cell.role == "mtl" and curve and not self._views_are_saved:
            self._save_views(curve[0].metrics)

    def forget(self, key: str) -> None:
        """Delete the run of a trial, if there is one."""
        if key in self._runs:
            self._delete(key)

    def log_summary(
        self,
        metrics: Mapping[str, float],
        artifacts: Iterable[tuple[Path, str]],
        tags: Mapping[str, str],
        fingerprint: str,
    ) -> None:
        """Write the suite's one `summary` run, in place of an earlier one.

        Args:
            metrics: numbers people compare.
            artifacts: files of figures and tables, each with its folder in the run.
            tags: provenance.
            fingerprint: of the suite's data.
        """
        query = "tags.kind = 'summary'"
        for run in self._client.search_runs([self._experiment], query):
            self._client.delete_run(run.info.run_id)
        summary = self._client.create_run(
            self._experiment, run_name=f"summary {self._suite}", tags={"kind": "summary", **tags}
        )
        self._client.log_inputs(summary.info.run_id, [dataset_of(self._suite, fingerprint)])
        now = summary.info.start_time
        self._client.log_batch(summary.info.run_id, [Metric(name, value, now, 0) for name, value in metrics.items()])
        for path, folder in artifacts:
            self._client.log_artifact(summary.info.run_id, str(path), folder)
        self._client.set_terminated(summary.info.run_id)

    def watch_machine(self) -> Callable[[], None]:
        """Record system metrics if the environment asks for them, see `machine`; return how to end that."""
        return watch_machine(self._client, self._uri, self._experiment)

    def history(self, keys: Iterable[str]) -> MetricHistory:
        """Return the reader of the named trials' metrics.

        Raises:
            UserError: a trial has no complete run.
        """
        runs = {key: run.run_id for key, run in self._runs.items() if run.status != "RUNNING"}
        wanted = set(keys)
        if missing := wanted - runs.keys():
            raise UserError(
                f"{len(missing)} finished trials (such as {min(missing)}) have no complete run in MLflow at {shown_uri(self._uri)}; "
                f"run `mtlsweep mlflow rebuild {self._suite}`."
            )
        return MetricHistory(self._client, self._experiment, {key: runs[key] for key in wanted})

    def outcomes(self) -> dict[str, str]:
        """Return the `outcome` tag of every complete run, by trial key."""
        runs = self._search("attributes.status != 'RUNNING'")
        return {
            run.data.tags["trial_key"]: run.data.tags.get("outcome", "") for run in runs if "trial_key" in run.data.tags
        }

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._suite)
        if found is None:
            with contextlib.suppress(MlflowException):  # another first user was faster
                return str(self._client.create_experiment(self._suite, tags=TRAINING_EXPERIMENT))
            found = self._client.get_experiment_by_name(self._suite)
        if found is None or found.lifecycle_stage != "active":
            raise MlflowException(f"experiment `{self._suite}` is deleted; restore it in MLflow or delete it for good")
        return str(found.experiment_id)

    def _index(self) -> dict[str, _Run]:
        """Find every trial's run; of two with one key the complete or older one stays."""
        found: dict[str, _Run] = {}
        for entry in self._search(""):
            tags = entry.data.tags
            if "trial_key" not in tags:
                continue
            run = _Run(entry.info.run_id, entry.info.status, tags.get("reference", ""))
            other = found.setdefault(tags["trial_key"], run)
            if other is not run:
                loser = run if other.status != "RUNNING" else other
                found[tags["trial_key"]] = other if loser is run else run
                self._client.delete_run(loser.run_id)
        return found

    def _search(self, query: str) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self._client.search_runs(
                [self._experiment], query, ViewType.ACTIVE_ONLY, RUNS_PER_PAGE, ["attributes.start_time ASC"], token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, trial: Trial, started_at: float) -> _Run:
        tags = {
            "trial_key": trial.key,
            "cell_key": trial.cell.key,
            "suite": trial.cell.suite,
            "role": trial.cell.role,
            "reference": self._reference,
            "mlflow.source.name": "mtlsweep",  # fills the UI's default column "Source"
            "mlflow.source.type": "LOCAL",
        }
        created = self._client.create_run(self._experiment, int(started_at * 1000), tags, trial.name)
        run = _Run(created.info.run_id, "RUNNING", self._reference)
        self._runs[trial.key] = run
        self._client.log_batch(run.run_id, params=[Param(name, str(value)) for name, value in params_of(trial).items()])
        self._client.log_inputs(run.run_id, [dataset_of(trial.cell.suite, trial.cell.data_fingerprint)])
        return run

    def _save_views(self, metrics: Iterable[str]) -> None:
        """Offer the experiment's views in the UI, with columns for these metrics."""
        experiment = self._client.get_experiment(self._experiment)
        for tag, content in saved_views(metrics, experiment.creation_time or 0).items():
            if experiment.tags.get(tag) != content:
                self._client.set_experiment_tag(self._experiment, tag, content)
        self._views_are_saved = True

    def _delete(self, key: str) -> None:
        self._client.delete_run(self._runs[key].run_id)
        del self._runs[key]

    def _log_records(self, run: _Run, records: Sequence[EpochRecord]) -> None:
        rows = []
        for record, derived in zip(records, self._derived([record.metrics for record in records]), strict=True):
            values = {**record.metrics, **derived}
            timestamp = _row(record)[1]
            rows += [Metric(name, value, timestamp, record.epoch) for name, value in values.items()]
        for start in range(0, len(rows), BATCH_OF_METRICS):
            self._client.log_batch(run.run_id, metrics=rows[start : start + BATCH_OF_METRICS])
        run.rows |= {_row(record) for record in records}


def _row(record: EpochRecord) -> tuple[int, int]:
    return record.epoch, int(record.finished_at * 1000)
