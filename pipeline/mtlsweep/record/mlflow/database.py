"""MLflow's own table of metrics, read without MLflow, whose client makes an object of every row.

MLflow does not promise to keep this table as it is, so its columns are compared with those known here
before it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

KNOWN: dict[str, type[TypeEngine[Any]]] = {
    "run_uuid": sa.String,
    "key": sa.String,
    "step": sa.BigInteger,
    "timestamp": sa.BigInteger,
    "value": sa.Double,
    "is_nan": sa.Boolean,
}
"""All columns of the table, which has one row for each value of each metric of each run."""

ROWS_PER_FETCH = 5_000

_METRICS = sa.table("metrics", *(sa.column(name, kind) for name, kind in KNOWN.items()))
_COLUMNS = _METRICS.columns
_ROWS = sa.select(
    _COLUMNS.run_uuid,
    _COLUMNS.key,
    _COLUMNS.step,
    _COLUMNS.timestamp,
    sa.case((_COLUMNS.is_nan, None), else_=_COLUMNS.value),  # MLflow stores NaN as 0 with this mark
)

Row = tuple[str, str, int, int, float | None]
"""Run id, name, step, timestamp in ms and value of one metric; None stands for NaN."""


def unknown_columns(engine: sa.Engine) -> list[str]:
    """Return the columns of the table that are not as `KNOWN`: missing, new, or of another type."""
    found = {column["name"]: column["type"] for column in sa.inspect(engine).get_columns("metrics")}
    return sorted(
        name
        for name in KNOWN.keys() | found.keys()
        if not (name in found and name in KNOWN and _alike(found[name], KNOWN[name]))
    )


def read_rows(engine: sa.Engine, run_ids: Sequence[str]) -> Iterator[list[Row]]:
    """Yield every row of some runs, in no order, from one query."""
    query = _ROWS.where(_COLUMNS.run_uuid.in_(run_ids)).compile(engine, compile_kwargs={"literal_binds": True})
    with closing(engine.raw_connection()) as connection:  # its rows are plain tuples, which take half the time
        cursor = connection.cursor()
        cursor.execute(str(query))
        while rows := cursor.fetchmany(ROWS_PER_FETCH):
            yield list(rows)


def _alike(found: TypeEngine[Any], known: type[TypeEngine[Any]]) -> bool:
    """Whether both hold the same Python type; some databases have a small integer for a truth value."""
    expected = known().python_type
    return issubclass(found.python_type, int if expected is bool else expected)
