"""The metrics of a suite's tasks as plain data, for tables and analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtlsweep.suites.tasks import Task

NOT_IN_KEYS = {
    "attribute": ("accuracy", "balanced_accuracy", "f1"),
    "classification": ("accuracy",),
    "depth": ("abs_err", "rel_err"),
    "normals": ("mean_angle", "median_angle", "within_11_25", "within_22_5", "within_30"),
    "quantity": ("mae", "r2"),
    "regression": ("mae", "r2"),
    "segmentation": ("miou", "pixel_accuracy"),
}
"""The metrics of each kind when keys were defined: a kind that measures these has none in its keys."""


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


def measured_metrics(task: Task) -> dict[str, str]:
    """Return `{"metrics": names}` as they belong into a trial's key, or nothing where they are as ever (`NOT_IN_KEYS`)."""
    names = tuple(metric.name for metric in task.metrics)
    return {} if NOT_IN_KEYS.get(task.kind) == names else {"metrics": ",".join(names)}
