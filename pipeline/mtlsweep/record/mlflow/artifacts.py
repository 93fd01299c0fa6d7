"""Where the files of a run are when there is no server to take them.

MLflow writes the absolute path of `mlruns` into an experiment when it makes it, and has no call that changes it. So a
project that was moved would write to where it was, and its UI would look there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.entities import RunInfo
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import append_to_uri_path, is_local_uri

from mtlsweep.record.mlflow.outage import server_errors


def place_artifacts(client: MlflowClient, run: RunInfo) -> None:
    """Let the files of a new run go to the present project's `mlruns`, if they would go to another local directory."""
    here = _place_here(client, run)
    if here is not None and run.artifact_uri != here:
        _set_place(client, run, here)


def find_moved_artifacts(uri: str, suites: Iterable[str]) -> None:
    """Let the UI find the files of summaries whose project was moved: where they are now, and no longer where they were.

    Args:
        uri: tracking URI of a database.
        suites: names of the experiments.

    Raises:
        TrackingError: the database cannot be read or written.
    """
    with server_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        for suite in suites:
            experiment = client.get_experiment_by_name(suite)
            if experiment is None:
                continue
            for run in client.search_runs([experiment.experiment_id], "tags.kind = 'summary'"):
                here = _place_here(client, run.info)
                if here is not None and _exists(here) and not _exists(run.info.artifact_uri):
                    _set_place(client, run.info, here)


def _place_here(client: MlflowClient, run: RunInfo) -> str | None:
    """Return the URI of a run's files in the present project, or None: a server and a remote store decide for themselves."""
    root = getattr(client._tracking_client.store, "artifact_root_uri", None)  # only of a database
    uris = (root, run.artifact_uri)
    if root is None or not all(is_local_uri(uri, is_tracking_or_registry_uri=False) for uri in uris):
        return None
    here: str = append_to_uri_path(root, run.experiment_id, run.run_id, "artifacts")
    return here


def _exists(uri: str) -> bool:
    return Path(local_file_uri_to_path(uri)).exists()


def _set_place(client: MlflowClient, run: RunInfo, uri: str) -> None:
    runs = sa.table("runs", sa.column("run_uuid"), sa.column("artifact_uri"))
    with client._tracking_client.store.engine.begin() as connection:
        connection.execute(sa.update(runs).where(runs.c.run_uuid == run.run_id).values(artifact_uri=uri))
