"""MLflow: the record people look at, and the source of the metrics that analysis reads.

One flat run per trial in one experiment per suite. Only this room imports mlflow; it knows nothing of
Ray or the ledger.
"""

from __future__ import annotations

import os

from mtlsweep.record.mlflow.outage import TrackingError
from mtlsweep.record.mlflow.server import resolve_uri, shown_uri
from mtlsweep.record.mlflow.tracker import Tracker
from mtlsweep.record.mlflow.views import view_links

# Read when mlflow is imported: no telemetry, no job workers (six processes of 240 MB), and outages
# noticed soon, since the recorder repeats what failed.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


os.environ.setdefault("DO_NOT_TRACK", "1")


os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")


os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


__all__ = ["Tracker", "TrackingError", "resolve_uri", "shown_uri", "view_links"]
