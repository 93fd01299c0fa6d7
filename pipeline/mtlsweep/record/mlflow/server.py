"""Where MLflow keeps its runs: the address, and making the database of one that is not there yet."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from mlflow import MlflowClient

from mtlsweep.errors import UserError

SCHEMES = ("sqlite", "postgresql", "postgresql+psycopg2", "mysql", "mysql+pymysql", "http", "https")


def resolve_uri(uri: str) -> str:
    """Return the tracking URI to use: `MLFLOW_TRACKING_URI` of the environment, else the one of params.yaml.

    Raises:
        UserError: params.yaml holds a password, or names a plain directory.
    """
    chosen = os.environ.get("MLFLOW_TRACKING_URI") or uri
    if chosen == uri and urlsplit(uri).password:
        raise UserError(
            f"params.yaml: `resources.tracking_uri` {shown_uri(uri)} holds a password; "
            "put the whole URI into the environment variable MLFLOW_TRACKING_URI instead."
        )
    if urlsplit(chosen).scheme not in SCHEMES:
        raise UserError(
            f"`resources.tracking_uri` is {shown_uri(chosen)!r}; allowed are sqlite:///FILE, postgresql://... and http(s)://HOST:PORT "
            "(MLflow keeps no runs in plain directories any more)."
        )
    return chosen


def shown_uri(uri: str) -> str:
    """Return `uri` without its password."""
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri


def create_database(uri: str) -> None:
    """Create a missing SQLite database under a temporary name, then link it into place.

    A kill while MLflow makes its schema would leave a database that no later version opens, and so
    would two first users at once.
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
        pass  # another first user was faster; theirs is as good
    finally:
        temporary.unlink()
