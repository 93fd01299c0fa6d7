"""The metrics of a suite's tasks as plain data, for tables and analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtlsweep.suites.tasks import Task


def metric_definitions(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Return the direction of every metric, as analysis reads it."""
    return [
        {
            "task": task.name,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "in_delta_m": metric.in_delta_m,
        }
        for task in tasks
        for metric in task.metrics
    ]
