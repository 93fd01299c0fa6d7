"""Rows of a dataset as they are stored: ragged columns become arrays of one shape, and their lengths a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import Columns, Dataset
from mtlsweep.suites.inputs import length_of


def read_rows(dataset: Dataset, split: str, start: int, stop: int) -> Columns:
    """Return rows `start` to `stop` of a split, with every padded column [rows, longest, ...] and its lengths [rows], int32.

    Raises:
        UserError: those of `Dataset.rows`; or a row of a padded column is too long or not like the others.
    """
    columns: dict[str, Any] = dict(dataset.rows(split, start, stop))
    for name, longest in dataset.padded.items():
        if name in columns:
            columns[name], columns[length_of(name)] = _pad(name, split, start, columns[name], longest)
    return columns


def _pad(
    name: str, split: str, start: int, ragged: Sequence[np.ndarray], longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows with zeros behind them, and their lengths."""
    first = np.asarray(ragged[0])
    padded = np.zeros((len(ragged), longest, *first.shape[1:]), first.dtype)
    for row, values in enumerate(map(np.asarray, ragged)):
        where = f"column `{name}` of split `{split}`, row {start + row},"
        if values.ndim != first.ndim or values.shape[1:] != first.shape[1:] or values.dtype != first.dtype:
            raise UserError(
                f"{where} is {values.dtype}{list(values.shape)}, but row {start} is {first.dtype}{list(first.shape)}; "
                "allowed: rows that differ only in their first dimension, their length."
            )
        if len(values) > longest:
            raise UserError(
                f"{where} has length {len(values)}; allowed: up to {longest}, the dataset's `padded[{name!r}]`."
            )
        padded[row, : len(values)] = values
    return padded, np.array([len(values) for values in ragged], np.int32)
