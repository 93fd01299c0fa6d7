"""Columns and types of the raw tables."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

CURVES = pa.schema(
    [
        ("trial_key", pa.string()),
        ("epoch", pa.int32()),
        ("split", pa.string()),
        ("task", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)

OUTCOMES = pa.schema(
    [
        ("trial_key", pa.string()),
        ("cell_key", pa.string()),
        ("suite", pa.string()),
        ("role", pa.string()),
        ("task", pa.string()),
        ("weighting", pa.string()),
        ("optimizer", pa.string()),
        ("lr", pa.float64()),
        ("seed", pa.int64()),
        ("outcome", pa.string()),
        ("cause", pa.string()),
        ("epochs", pa.int32()),
    ]
)


def outcomes_schema(axes: Iterable[str] = ()) -> pa.Schema:
    """Return the columns of outcomes in a sweep with axes: one more for each, empty where a cell does not have it."""
    return pa.schema([*OUTCOMES, *(pa.field(axis, pa.string()) for axis in axes)])


COSTS = pa.schema(
    [
        ("trial_key", pa.string()),
        ("role", pa.string()),
        ("seconds", pa.float64()),
        ("started", pa.timestamp("ms")),
        ("host", pa.string()),
        ("attempts", pa.int32()),
    ]
)
