"""Values of one column of a table: numbers, categories or points in time, each with a rule for what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mtlsweep.errors import UserError

MISSING = "missing"
"""The category of cells that are empty (in a CSV file also `NA`, `NaN`, `null` and the like)."""


def numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Return a column as float64; NaN where it is missing.

    Raises:
        UserError: a value is no number, or not finite.
    """
    kind = column.type
    if column.null_count == len(column):
        raise _empty(name)
    if pa.types.is_temporal(kind):
        raise _wrong(
            name, f"holds dates ({_first(column)} in row 0)", "numbers: write a date as a number, such as days"
        )
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        raise _not_a_number(column, name)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise _wrong(name, f"is of type {kind}", "numbers")
    values = column.cast(pa.float64()).to_numpy().astype(np.float64)
    values[column.is_null().to_numpy()] = np.nan
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise _wrong(name, f"holds {values[row]} in row {row}", "finite numbers, or an empty cell where it is missing")
    if np.isnan(values).all():
        raise _empty(name)
    return values


def categories(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Return a column as text [rows]; `MISSING` where it is missing.

    Raises:
        UserError: the column holds lists or the like, or nothing.
    """
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        raise _wrong(name, f"is of type {column.type}", "text, whole numbers, or true and false")
    if column.null_count == len(column):
        raise _empty(name)
    return np.array([MISSING if value is None else _as_text(value) for value in column.to_pylist()], dtype=object)


def moments(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Return a column of dates, times or numbers as float64, for its order.

    Raises:
        UserError: a value is neither a date nor a number, or missing.
    """
    if column.null_count:
        raise _wrong(name, f"is missing in row {int(column.is_null().to_numpy().argmax())}", "a time in every row")
    if pa.types.is_temporal(column.type) and not pa.types.is_time(column.type):
        return column.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy().astype(np.float64)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        raise _wrong(
            name, f"holds {_first(column)!r} in row 0", "dates as 2026-11-25 or 2026-11-25 16:30:00, or numbers"
        )
    return numbers(column, name)


def _not_a_number(column: pa.ChunkedArray, name: str) -> UserError:
    """Return what to say of a column of text that should hold numbers: the first value that is not a number."""
    for row, value in enumerate(column.to_pylist()):
        if value is None:
            continue
        try:
            float(value)
        except ValueError:
            comma = value.replace(",", "", 1).replace("-", "", 1).strip().isdigit() and "," in value
            allowed = (
                "numbers with a decimal point" if comma else "numbers, or an empty cell; of text make a `category`"
            )
            return _wrong(name, f"holds {value!r} in row {row}", allowed)
    return _wrong(name, "holds numbers as text", "a column of numbers")


def _as_text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _first(column: pa.ChunkedArray) -> Any:
    return pc.drop_null(column)[0].as_py() if column.null_count < len(column) else None


def _empty(name: str) -> UserError:
    return UserError(f"column `{name}` is empty in every row; leave it out.")


def _wrong(name: str, found: str, allowed: str) -> UserError:
    return UserError(f"column `{name}` {found}; allowed: {allowed}.")
