"""Reading metric histories back from MLflow."""

from __future__ import annotations

RUNS_PER_HISTORY_CALL = 50

ROWS_PER_HISTORY_CALL = 25_000
"""Most rows a server returns for one metric of several runs."""

LARGEST_STORED = 1.7976931348623157e308
"""What MLflow's databases keep in place of an infinity."""
