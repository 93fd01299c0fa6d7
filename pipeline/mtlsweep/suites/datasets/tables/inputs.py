"""From columns of a table to rows of numbers: standardised quantities, and categories as codes that a network embeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.standardise import standardise
from mtlsweep.suites.datasets.tables.values import categories, numbers
from mtlsweep.suites.inputs import Feature

Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Encoded:
    """One column as float32 [rows, features], what each feature is, and how it was made, for `summary.json`."""

    values: np.ndarray
    features: tuple[Feature, ...]
    notes: Mapping[str, Any]


def encode_inputs(table: pa.Table, kinds: Mapping[str, Kind], train: np.ndarray, rare: int) -> list[Encoded]:
    """Return the input columns as a network takes them, numbers first.

    A number is standardised by the mean and deviation of the training rows that have it; a missing one becomes 0, the mean, and
    where training rows miss it a further feature is 1. A category of at least `rare` training rows has a code from 1
    on; all others, and those that training rows never show, share code 0. Missing is a category like any other.

    Args:
        table: has every column.
        kinds: by column.
        train: row numbers of the training split.
        rare: the fewest training rows of a category with a code of its own.

    Raises:
        UserError: values are not what the kind takes, or tell nothing apart.
    """
    quantities = [_quantity(table[name], name, train) for name, kind in kinds.items() if kind == "number"]
    return quantities + [_codes(table[name], name, train, rare) for name, kind in kinds.items() if kind == "category"]


def _quantity(column: pa.ChunkedArray, name: str, train: np.ndarray) -> Encoded:
    values, notes = standardise(numbers(column, name), name, train)
    missing = np.isnan(values)
    filled, features = [np.where(missing, 0.0, values)], [Feature(name)]
    if missing[train].any():
        filled.append(missing.astype(np.float64))
        features.append(Feature(f"{name} is missing"))
    return Encoded(
        np.stack(filled, axis=1).astype(np.float32), tuple(features), {**notes, "missing": int(missing.sum())}
    )


def _codes(column: pa.ChunkedArray, name: str, train: np.ndarray, rare: int) -> Encoded:
    values = categories(column, name)
    names, counts = np.unique(values[train].astype(str), return_counts=True)
    if len(names) == 1:
        raise UserError(
            f"column `{name}` is {str(names[0])!r} in every training row, so nothing can be learnt from it; leave it out."
        )
    common = names[counts >= rare].tolist()
    if not common:
        raise UserError(
            f"column `{name}` has {len(names)} categories, none of them in {rare} training rows or more (`rare`), like an "
            "identifier: leave it out, or make it a `number`."
        )
    codes = {value: code for code, value in enumerate(common, 1)}
    coded = np.array([[codes.get(value, 0)] for value in values.tolist()], np.float32)
    notes = {"categories": common, "rare_or_unseen": int((coded == 0).sum())}
    return Encoded(coded, (Feature(name, categories=len(common) + 1),), notes)
