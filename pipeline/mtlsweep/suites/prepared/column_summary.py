"""What the columns of a dataset without images hold, so that a person can check it: figures and histograms.

The report shows `columns.json`: one entry for each column of inputs or targets, or for each feature of a table's
column, over the training split:

    {"column": "row", "feature": "age", "type": "float32", "values": 16151, "minimum": ..., "maximum": ...,
     "mean": ..., "deviation": ..., "histogram": [[low, high, count], ...]}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mtlsweep.suites.datasets.dataset import Columns, Dataset
from mtlsweep.suites.inputs import length_of

BINS = 30


def summarise_columns(dataset: Dataset, shards: Iterable[Columns]) -> list[dict[str, Any]]:
    """Return the entry of every column; `shards` are the rows of the training split, read once."""
    found: dict[tuple[str, str], _Summary] = {}
    for columns in shards:
        for column, feature, values in _parts(dataset, columns):
            found.setdefault((column, feature), _Summary()).update(values)
    return [{"column": column, "feature": feature, **summary.entry()} for (column, feature), summary in found.items()]


def _parts(dataset: Dataset, columns: Columns) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (column, feature or "", its finite numbers); what is only filled in behind a ragged row is left out."""
    for name, column in columns.items():
        if name in dataset.features:
            for position, feature in enumerate(dataset.features[name]):
                yield name, feature.name, column[:, position]
            continue
        if name in dataset.padded:
            column = column[np.arange(column.shape[1]) < columns[length_of(name)][:, None]]
        yield name, "", column[np.isfinite(column)]


class _Summary:
    """Range, moments and histogram of numbers that come in parts.

    The first part decides the bins: whole numbers of a small range have one for each value. Numbers beyond the range
    of the first part count in the outermost bins, which are then as wide as all numbers need.
    """

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, 0.0, 0.0
        self._minimum, self._maximum = np.inf, -np.inf
        self._type = ""
        self._edges = np.zeros(0)
        self._counts = np.zeros(0, np.int64)

    def update(self, values: np.ndarray) -> None:
        self._type = values.dtype.name
        if not values.size:
            return
        exact = values.astype(np.float64).ravel()
        if not self._count:
            self._edges = _edges(exact)
            self._counts = np.zeros(len(self._edges) - 1, np.int64)
        self._count += exact.size
        self._sum += float(exact.sum())
        self._squares += float(np.square(exact).sum())
        self._minimum, self._maximum = min(self._minimum, exact.min()), max(self._maximum, exact.max())
        bins = np.clip(np.searchsorted(self._edges, exact, side="right") - 1, 0, len(self._counts) - 1)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def entry(self) -> dict[str, Any]:
        if not self._count:
            return {"type": self._type, "values": 0, "histogram": []}
        mean = self._sum / self._count
        edges = self._edges.copy()
        edges[0], edges[-1] = min(edges[0], self._minimum), max(edges[-1], self._maximum)
        return {
            "type": self._type,
            "values": self._count,
            "minimum": float(self._minimum),
            "maximum": float(self._maximum),
            "mean": mean,
            "deviation": float(np.sqrt(max(self._squares / self._count - mean**2, 0.0))),
            "histogram": [
                [float(low), float(high), int(count)]
                for low, high, count in zip(edges[:-1], edges[1:], self._counts, strict=True)
            ],
        }


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if np.array_equal(values, values.round()) and high - low < BINS:
        return np.arange(low - 0.5, high + 1.0)
    return np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
