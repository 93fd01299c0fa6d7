"""What a dataset must provide so that `prepare` can store it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.suites.inputs import IMAGE, Feature, length_of
from mtlsweep.suites.tasks import Task
from mtlsweep.trials.metric_names import LOSS, check_columns, check_recorded

DATASETS: Registry[Dataset] = Registry("dataset", "mtlsweep.suites.datasets")

SPLITS = ("train", "val", "test")

Columns = dict[str, np.ndarray]
"""Rows of a split: for each column an array whose first dimension counts the rows."""

Given = Mapping[str, np.ndarray | Sequence[np.ndarray]]
"""The same as a dataset gives it: a ragged column is a list with an array for each row."""


class Dataset(ABC):
    """Inputs and targets of every split, in rows that can be read in any order.

    Columns are stored as they are given. In a batch an integer column becomes int64, a
    float column float32, and a column named in `scales` float32 times its scale. The column `image` holds
    images [rows, C, H, W], any other input [rows, ...] of any shape; targets are [rows] or, if dense,
    [rows, H, W] or [rows, C, H, W], as the image. A subclass's keyword-only parameters are its options; the
    constructor looks for the raw files, and raises UserError when they are not there.

    Attributes:
        tasks: what is learnt; a target's column has its task's name.
        inputs: names of the input columns.
        padded: for each ragged input the longest length. `rows` gives a list of arrays [length, ...] for it, which
            are stored with zeros behind them, and their lengths as one more input, `<name>_length`.
        features: for an input [rows, F] that is a table what its F numbers are.
        scales: what the numbers of a column are multiplied by.
    """

    tasks: Sequence[Task]
    inputs: Sequence[str] = (IMAGE,)
    padded: Mapping[str, int] = {}
    features: Mapping[str, Sequence[Feature]] = {}
    scales: Mapping[str, float] = {IMAGE: 1 / 255}

    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Return the number of rows of `train`, `val` and `test`."""

    @abstractmethod
    def rows(self, split: str, start: int, stop: int) -> Given:
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


def create_dataset(choice: Choice) -> Dataset:
    """Return the dataset that `choice` names.

    Raises:
        UserError: an unknown name or option; what it names gives no dataset, or one without tasks.
    """
    made: object = DATASETS.create(DATASETS.resolve(choice))
    if not isinstance(made, Dataset):
        raise UserError(
            f"dataset `{choice.name}` gives {type(made).__name__}, which is no dataset: return what `mtlsweep.from_torch` gives, "
            "or name a class derived from `mtlsweep.suites.datasets.Dataset`."
        )
    if not hasattr(made, "tasks"):
        raise UserError(f"dataset `{choice.name}` has no `tasks`: give it a tuple of what is learnt.")
    return made


def stored_inputs(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of the input columns as they are stored: with the lengths of padded ones."""
    return (*dataset.inputs, *(length_of(name) for name in dataset.inputs if name in dataset.padded))


def check_tasks(tasks: Sequence[Task], inputs: Sequence[str]) -> None:
    """Check the names of a dataset's inputs, of its tasks and of their metrics.

    Args:
        tasks: of the dataset.
        inputs: its stored inputs.

    Raises:
        UserError: there is no input or no task, or a name is not allowed, taken or ambiguous in tables.
    """
    if not inputs or len(set(inputs)) < len(inputs) or not all(isinstance(name, str) and name for name in inputs):
        raise UserError(f"dataset inputs are {list(inputs)}: give at least one input, each with a name of its own.")
    names = [task.name for task in tasks]
    if not names or len(set(names)) < len(names):
        raise UserError(f"dataset tasks are {names}: give at least one task, each with a name of its own.")
    if taken := [name for name in names if name in inputs]:
        raise UserError(f"task `{taken[0]}` has the name of an input column: rename the task.")
    metrics = {task.name: [metric.name for metric in task.metrics] for task in tasks}
    check_recorded(metrics)
    check_columns({task: [LOSS, *own] for task, own in metrics.items()})
