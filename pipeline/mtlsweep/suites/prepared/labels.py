"""Which rows have a label of a task: counted while data is prepared, and stored where some have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import SPLITS, Columns
from mtlsweep.suites.prepared.layout import LABELLED
from mtlsweep.suites.tasks import Task


class LabelCounts:
    """Counts the labels of every task in every split.

    Args:
        tasks: a task that does not say what its targets are has a label in every row.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._targets = {task.name: task.target for task in tasks if task.target is not None}
        self._rows = dict.fromkeys(SPLITS, 0)
        self._labels = {split: dict.fromkeys(self._targets, 0) for split in SPLITS}

    def add(self, split: str, columns: Columns) -> None:
        """Count the labels of some rows."""
        for task, target in self._targets.items():
            self._labels[split][task] += int(target.labelled(columns[task]).sum())
        self._rows[split] += len(next(iter(columns.values())))

    def incomplete(self) -> dict[str, dict[str, int]]:
        """Return, by split, how many rows have a label of each task that some row has no label of.

        Raises:
            UserError: a split has no label of a task at all.
        """
        for split, labels in self._labels.items():
            for task, count in labels.items():
                if count == 0:
                    raise UserError(
                        f"split `{split}` has no label of task `{task}` in any of its {self._rows[split]} rows: give it "
                        "labels in every split, or leave the task out."
                    )
        few = {
            split: {task: count for task, count in labels.items() if count < self._rows[split]}
            for split, labels in self._labels.items()
        }
        return {split: labels for split, labels in few.items() if labels}

    def columns(self, columns: Columns, tasks: Mapping[str, int]) -> Columns:
        """Return rows of the columns that say, for each of the `tasks`, which rows have a label (1) and which none (0)."""
        return {f"{LABELLED}{task}": self._targets[task].labelled(columns[task]).astype(np.uint8) for task in tasks}


class LabelledRows:
    """Which rows of a split have a label, for the tasks that some row has no label of.

    Args:
        stored: the columns that `LabelCounts.columns` makes, by name.
    """

    def __init__(self, stored: Mapping[str, np.ndarray]) -> None:
        self._there = {name.removeprefix(LABELLED): torch.from_numpy(rows != 0) for name, rows in stored.items()}

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that some row has no label of."""
        return frozenset(self._there)

    def of(self, chosen: Tensor, device: torch.device) -> dict[str, Tensor]:
        """Return, for each task that some of the rows `chosen` [N] (CPU) lack, the positions among them of the others."""
        found = ((task, there[chosen]) for task, there in self._there.items())
        return {task: rows.nonzero().squeeze(1).to(device, non_blocking=True) for task, rows in found if not rows.all()}
