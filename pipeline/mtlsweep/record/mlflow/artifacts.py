"""Where the files of a run go when there is no server to take them."""

from __future__ import annotations

import sqlalchemy as sa
from mlflow import MlflowClient
from mlflow.entities import RunInfo
from mlflow.utils.uri import append_to_uri_path, is_local_uri


def place_artifacts(client: MlflowClient, run: RunInfo) -> None:
    """Let the files of a run go to the present project's `mlruns`, if they would go to another local directory.

    MLflow writes the absolute path of `mlruns` into an experiment when it makes it, and has no call that changes it:
    a project that was moved would write to where it was. A server and a remote store decide for themselves.
    """
    store = client._tracking_client.store
    root = getattr(store, "artifact_root_uri", None)  # only of a database
    if root is None or not all(
        is_local_uri(uri, is_tracking_or_registry_uri=False) for uri in (root, run.artifact_uri)
    ):
        return
    here = append_to_uri_path(root, run.experiment_id, run.run_id, "artifacts")
    if run.artifact_uri != here:
        runs = sa.table("runs", sa.column("run_uuid"), sa.column("artifact_uri"))
        with store.engine.begin() as connection:
            connection.execute(sa.update(runs).where(runs.c.run_uuid == run.run_id).values(artifact_uri=here))
