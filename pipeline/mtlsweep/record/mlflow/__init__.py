"""MLflow: the record that users look at, and the source of the metrics for analysis.

One flat run per trial in one experiment per suite. Only this package imports mlflow.
"""

from __future__ import annotations

import os

from mtlsweep.record.mlflow.outage import TrackingError
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


__all__ = ["Tracker", "TrackingError", "resolve_uri", "shown_uri", "view_links"]
