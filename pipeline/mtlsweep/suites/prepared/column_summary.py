"""What the columns of a dataset without images hold, so that a person can check it: figures and histograms.

The report shows `columns.json`: one entry for each column of inputs or targets, or for each feature of a table's
column, over the training split:

    {"column": "row", "feature": "age", "type": "float32", "values": 16151, "minimum": ..., "maximum": ...,
     "mean": ..., "deviation": ..., "histogram": [[low, high, count], ...]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtlsweep.suites.datasets.dataset import Columns, Dataset
from mtlsweep.suites.inputs import length_of

BINS = 30


def summarise_columns(dataset: Dataset, read: Callable[[], Iterable[Columns]]) -> list[dict[str, Any]]:
    """Return the entry of every column; `read` gives the rows of the training split, and is called twice."""
    ranges: dict[tuple[str, str], _Range] = {}
    for columns in read():
        for column, feature, values in _parts(dataset, columns):
            ranges.setdefault((column, feature), _Range(values.dtype.name)).add(values)
    edges = {key: found.edges() for key, found in ranges.items()}
    counts = {key: np.zeros(max(len(each) - 1, 0), np.int64) for key, each in edges.items()}
    for columns in read():
        for column, feature, values in _parts(dataset, columns):
            counts[column, feature] += np.histogram(values, edges[column, feature])[0] if values.size else 0
    return [
        {
            "column": column,
            "feature": feature,
            **found.entry(),
            "histogram": [
                [float(low), float(high), int(count)]
                for low, high, count in zip(
                    edges[column, feature][:-1], edges[column, feature][1:], counts[column, feature], strict=True
                )
            ],
        }
        for (column, feature), found in ranges.items()
    ]


def _parts(dataset: Dataset, columns: Columns) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (column, feature or "", its finite numbers), without what is filled in behind a ragged row or marks no label."""
    targets = {task.name: task.target for task in dataset.tasks}
    for name, column in columns.items():
        if name in dataset.features:
            for position, feature in enumerate(dataset.features[name]):
                yield name, feature.name, column[:, position]
            continue
        if name in dataset.padded:
            column = column[np.arange(column.shape[1]) < columns[length_of(name)][:, None]]
        target = targets.get(name)
        if target is not None:
            column = column[target.labelled(column)]
        yield name, "", column[np.isfinite(column)]


@dataclass
class _Range:
    """Range and moments of numbers that come in parts."""

    type: str
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf
    whole: bool = True

    def add(self, values: np.ndarray) -> None:
        if not values.size:
            return
        exact = values.astype(np.float64)
        self.count += exact.size
        self.total += float(exact.sum())
        self.squares += float(np.square(exact).sum())
        self.minimum, self.maximum = min(self.minimum, float(exact.min())), max(self.maximum, float(exact.max()))
        self.whole = self.whole and np.array_equal(exact, exact.round())

    def edges(self) -> np.ndarray:
        """Return the edges of bins: one for each of few whole numbers, else `BINS` of equal width."""
        if not self.count:
            return np.zeros(0)
        if self.whole and self.maximum - self.minimum < BINS:
            return np.arange(self.minimum - 0.5, self.maximum + 1.0)
        if self.minimum == self.maximum:
            return np.array([self.minimum - 0.5, self.minimum + 0.5])
        return np.linspace(self.minimum, self.maximum, BINS + 1)

    def entry(self) -> dict[str, Any]:
        if not self.count:
            return {"type": self.type, "values": 0}
        mean = self.total / self.count
        deviation = float(np.sqrt(max(self.squares / self.count - mean**2, 0.0)))
        return {
            "type": self.type,
            "values": self.count,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "mean": mean,
            "deviation": deviation,
        }
