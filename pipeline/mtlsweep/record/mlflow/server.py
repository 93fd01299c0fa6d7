"""The address of the MLflow store, and creation of a missing database."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient

from mtlsweep.environment import origin
from mtlsweep.errors import UserError

SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg2", "mysql", "mysql+pymysql", "http", "https")


def resolve_uri(uri: str) -> str:
    """Return the tracking URI: the environment variable `MLFLOW_TRACKING_URI`, or else the value in params.yaml.

    Raises:
        UserError: params.yaml contains a password, or the URI is a plain directory.
    """
    chosen = os.environ.get("MLFLOW_TRACKING_URI") or uri
    if chosen == uri and urlsplit(uri).password:
        raise UserError(
            f"params.yaml: `resources.tracking_uri` {shown_uri(uri)} contains a password; "
            "set the environment variable MLFLOW_TRACKING_URI instead."
        )
    if urlsplit(chosen).scheme not in SCHEMES:
        raise UserError(
            f"{tracking_origin()} is {shown_uri(chosen)!r}; "
            "allowed are sqlite:///FILE, postgresql://... and http(s)://HOST:PORT."
        )
    return chosen


def tracking_origin() -> str:
    """Return in words where the tracking URI comes from."""
    return origin("MLFLOW_TRACKING_URI", "resources.tracking_uri")


def shown_uri(uri: str) -> str:
    """Return `uri` without its password."""
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri


def create_database(uri: str) -> None:
    """Create a missing SQLite database under a temporary name, then link it into place.

    If a process is killed while MLflow creates the schema, or two processes create it at once, MLflow
    cannot open the database later.
    """
    if not uri.startswith("sqlite:///"):
        return
    path = Path(uri.removeprefix("sqlite:///"))
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{temporary}")
    client.search_experiments()
    client._tracking_client.store.engine.dispose()
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process created it first
    finally:
        temporary.unlink()
