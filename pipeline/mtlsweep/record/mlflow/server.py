"""The address of the MLflow store, and creation of a missing database."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mlflow import MlflowClient

from mtlsweep.addresses import split_address
from mtlsweep.environment import origin
from mtlsweep.errors import UserError

SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg2", "mysql", "mysql+pymysql", "http", "https")


def resolve_uri(uri: str) -> str:
    """Return the tracking URI: the environment variable `MLFLOW_TRACKING_URI`, or else the value in params.yaml.

    Raises:
        UserError: params.yaml contains a password, the URI is malformed, a plain directory, or a database in memory.
    """
    chosen = os.environ.get("MLFLOW_TRACKING_URI") or uri
    if chosen == uri and _password(uri):
        raise UserError(
            f"params.yaml: `resources.tracking_uri` {shown_uri(uri)} contains a password; "
            "set the environment variable MLFLOW_TRACKING_URI instead."
        )
    if not _is_usable(chosen):
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
    password = _password(uri)
    return uri.replace(f":{password}@", ":***@") if password else uri


def _password(uri: str) -> str | None:
    parts = split_address(uri)
    if parts is not None:
        return parts.password
    found = re.search(r"://[^:/@]*:(.*)@", uri)  # of a malformed URI, which is shown in a message
    return found[1] if found else None


def _is_usable(uri: str) -> bool:
    parts = split_address(uri)
    if parts is None or parts.scheme not in SCHEMES:
        return False
    if parts.scheme == "sqlite":  # without a file it would be in memory, and lost
        return not parts.netloc and parts.path.removeprefix("/") not in ("", ":memory:")
    return bool(parts.hostname) or not parts.scheme.startswith("http")


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
