"""What a dataset must provide so that `prepare` can store it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.params.registry import Registry
from mtlsweep.suites.tasks import Task
from mtlsweep.trials.metric_names import LOSS, check_columns, check_recorded

DATASETS: Registry[Dataset] = Registry("dataset", "mtlsweep.suites.datasets")

IMAGE = "image"
"""Name of the column of inputs; a target's column has its task's name."""

SPLITS = ("train", "val", "test")

Columns = dict[str, np.ndarray]
"""Rows of a split: for each column an array whose first dimension counts the rows."""


class Dataset(ABC):
    """Images and targets of every split, in rows that can be read in any order.

    Columns are stored as they are given. In a batch an integer column becomes int64, a
    float column float32, and a column named in `scales` float32 times its scale. Images are
    [rows, C, H, W]; targets [rows] or, if dense, [rows, H, W] or [rows, C, H, W]. A subclass's
    keyword-only parameters are its options; the constructor looks for the raw files, and raises UserError
    when they are not there.
    """

    tasks: Sequence[Task]
    scales: Mapping[str, float] = {IMAGE: 1 / 255}

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Return the number of rows of `train`, `val` and `test`."""

    @abstractmethod
    def rows(self, split: str, start: int, stop: int) -> Columns:
        """Return rows `start` to `stop` (not included) of a split; may be called from several threads.

        Raises:
            UserError: a raw file is missing or damaged; the message names it.
        """

    def notes(self) -> Mapping[str, Any]:
        """Return what a reader of `summary.json` should know (JSON), such as statistics and warnings."""
        return {}

    def begin(self, workspace: Path) -> None:  # noqa: B027 - most datasets have nothing to do here
        """Do slow work once, before any row is read: make raw files in `workspace`, or check them.

        `workspace` is empty at first; it is kept, with its content, until preparation has succeeded.
        """


def check_tasks(tasks: Sequence[Task]) -> None:
    """Check the names of a dataset's tasks and of their metrics.

    Raises:
        UserError: there is no task, or a name is not allowed, taken or ambiguous in tables.
    """
    names = [task.name for task in tasks]
    if not names or len(set(names)) < len(names):
        raise UserError(f"dataset tasks are {names}: give at least one task, each with a name of its own.")
    if IMAGE in names:
        raise UserError(f"a task is called `{IMAGE}`, as the column of inputs is: rename it.")
    metrics = {task.name: [metric.name for metric in task.metrics] for task in tasks}
    check_recorded(metrics)
    check_columns({task: [LOSS, *own] for task, own in metrics.items()})
