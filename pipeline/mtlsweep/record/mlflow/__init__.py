"""MLflow: the record that users look at, and the source of the metrics for analysis.

One flat run per trial in one experiment per suite. Only this package imports mlflow.
"""

from __future__ import annotations

import logging
import os

from mtlsweep.record.mlflow.artifacts import find_moved_artifacts
from mtlsweep.record.mlflow.outage import OutageError, RefusalError, TrackingError, refusals
from mtlsweep.record.mlflow.server import resolve_uri, shown_uri
from mtlsweep.record.mlflow.tracker import Tracker
from mtlsweep.record.mlflow.views import view_links

# MLflow reads these at import: no telemetry, no job workers (six processes of 240 MB), and short
# timeouts, because the recorder retries failed writes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


os.environ.setdefault("DO_NOT_TRACK", "1")


os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")


os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # else two lines a trial


# It prints a traceback of what it then raises, such as a database that is locked for a moment.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


__all__ = [
    "OutageError",
    "RefusalError",
    "Tracker",
    "TrackingError",
    "find_moved_artifacts",
    "refusals",
    "resolve_uri",
    "shown_uri",
    "view_links",
]
