"""One suite's experiment, and which of its runs belong to one ledger.

Several people may sweep one suite on one server. Each has a ledger, and each run names its own: nothing here
reads, changes or deletes a run of another ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlflow import MlflowClient
from mlflow.entities import Experiment as MlflowExperiment
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.default_context import DefaultRunContext

from mtlsweep.errors import UserError, first_line
from mtlsweep.record.mlflow.database import FoundRun, read_runs, readable
from mtlsweep.record.mlflow.outage import RefusalError, server_errors
from mtlsweep.record.mlflow.server import create_database, resolve_uri, shown_uri, tracking_origin

LEDGER_ID = "ledger_id"
"""The tag of a run that names its ledger."""

TAGS_OF_TRIALS = ("trial_key", LEDGER_ID, "reference", "outcome")
"""The tags by which a trial's run is found and judged."""

RUNS_PER_PAGE = 1000

DENIALS = ("CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED")
ACCESS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment"

TRAINING_EXPERIMENT = ("mlflow.experimentKind", "custom_model_development")
"""A tag that makes the UI open an experiment with runs and charts rather than traces."""


class Experiment:
    """An experiment, made if it is missing.

    Args:
        uri: tracking URI, see `resolve_uri`.
        suite: name of the suite, and of the experiment.
        ledger_id: see `Ledger.id`.

    Attributes:
        uri, suite, ledger_id: as given.
        client: MLflow's, for this URI.
        id: of the experiment.

    Raises:
        UserError: the store cannot be reached or opened, or the experiment is deleted.
    """

    def __init__(self, uri: str, suite: str, ledger_id: str) -> None:
        self.uri = resolve_uri(uri)
        self.suite = suite
        self.ledger_id = ledger_id
        try:
            create_database(self.uri)
            self.client = MlflowClient(tracking_uri=self.uri)
            found = self._find()
        except Exception as error:  # whatever a database driver or an HTTP client raises for "not there"
            remedy = (
                ACCESS if getattr(error, "error_code", None) in DENIALS else f"start it, or set {tracking_origin()}"
            )
            raise UserError(
                f"tracking server {shown_uri(self.uri)} cannot be used ({first_line(error)}); {remedy} (nothing was trained)."
            ) from error
        if found.lifecycle_stage != "active":
            raise UserError(
                f"experiment `{suite}` of tracking server {shown_uri(self.uri)} is deleted: restore it in MLflow, or "
                "delete it for good with `mlflow gc`, then run the same command again."
            )
        self.id = str(found.experiment_id)

    def create_run(self, name: str, tags: Mapping[str, str], started_ms: int | None = None) -> Run:
        """Make a run of this ledger; `started_ms` is a Unix time in milliseconds, by default now."""
        whose = {LEDGER_ID: self.ledger_id, "mlflow.user": DefaultRunContext().tags()["mlflow.user"]}
        return self.client.create_run(self.id, started_ms, {**whose, **tags}, name)

    def own_runs(self, query: str) -> Iterator[Run]:
        """Yield this ledger's runs that `query` selects, the oldest first."""
        return self._search(f"{query} and tags.{LEDGER_ID} = '{self.ledger_id}'")

    def runs_of_trials(self) -> list[FoundRun]:
        """Return everybody's runs of trials, the oldest first, with those of `TAGS_OF_TRIALS` that they have.

        A database is asked by one query on MLflow's own tables: its client takes 20 s for 10,000 runs.
        """
        engine = readable(self.client, "runs", "tags")
        if engine is None:
            runs = [found_run(run) for run in self._search("")]
        else:
            runs = read_runs(engine, self.id, TAGS_OF_TRIALS)
        return [run for run in runs if "trial_key" in run.tags]

    def _search(self, query: str) -> Iterator[Run]:
        """Yield everybody's runs that `query` selects, the oldest first, page by page."""
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [self.id], query, ViewType.ACTIVE_ONLY, RUNS_PER_PAGE, ["attributes.start_time ASC"], token
            )
            yield from page
            token = page.token
            if not token:
                return

    def is_gone(self, run_id: str) -> bool:
        """Whether a run was deleted, in the UI or by `mlflow gc`."""
        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage == "deleted")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return True
            raise

    def can_write(self) -> bool:
        """Whether the server takes, or refuses, a write that changes nothing; else it is down."""
        try:
            with server_errors(self.uri):
                self.client.set_experiment_tag(self.id, *TRAINING_EXPERIMENT)
        except RefusalError:
            return True
        except UserError:
            return False
        return True

    def _find(self) -> MlflowExperiment:
        found = self.client.get_experiment_by_name(self.suite)
        if found is not None:
            return found
        try:
            return self.client.get_experiment(
                self.client.create_experiment(self.suite, tags=dict([TRAINING_EXPERIMENT]))
            )
        except MlflowException:
            found = self.client.get_experiment_by_name(self.suite)  # another first user was faster
            if found is None:
                raise
            return found


def found_run(run: Run) -> FoundRun:
    """Return what finding a run reads of one that MLflow's client gave."""
    tags = {name: value for name, value in run.data.tags.items() if name in TAGS_OF_TRIALS}
    return FoundRun(run.info.run_id, run.info.status, run.info.end_time, tags)
