"""What a network learns: a loss, its metrics, and for each metric whether higher or lower is better.

One file per kind of task. Nothing about datasets, networks, weightings or training may enter.
"""

from __future__ import annotations

from mtlsweep.suites.tasks.target import Target
from mtlsweep.suites.tasks.task import TASKS, Evaluator, Metric, Task, task_from_definition

__all__ = ["TASKS", "Evaluator", "Metric", "Target", "Task", "task_from_definition"]
