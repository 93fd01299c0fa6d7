"""MLflow's own tables, read without MLflow, whose client makes an object of every row.

MLflow does not promise to keep its tables as they are, so a table's columns are compared with those known here
before it is read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from mlflow import MlflowClient
from sqlalchemy.types import TypeEngine

logger = logging.getLogger(__name__)

_Columns = Mapping[str, type[TypeEngine[Any]]]

KNOWN: Mapping[str, _Columns] = {
    "metrics": {
        "run_uuid": sa.String,
        "key": sa.String,
        "step": sa.BigInteger,
        "timestamp": sa.BigInteger,
        "value": sa.Double,
        "is_nan": sa.Boolean,
    },
    "runs": {
        "run_uuid": sa.String,
        "name": sa.String,
        "source_type": sa.String,
        "source_name": sa.String,
        "entry_point_name": sa.String,
        "user_id": sa.String,
        "status": sa.String,
        "start_time": sa.BigInteger,
        "end_time": sa.BigInteger,
        "source_version": sa.String,
        "lifecycle_stage": sa.String,
        "artifact_uri": sa.String,
        "experiment_id": sa.Integer,
        "deleted_time": sa.BigInteger,
    },
    "tags": {"key": sa.String, "value": sa.String, "run_uuid": sa.String},
}
"""All columns of the tables that are read here. `metrics` has one row for each value of each metric of each run."""

ROWS_PER_FETCH = 500
"""With more tuples alive at once Python's garbage collector runs, which takes as long as the query."""

_METRICS, _RUNS, _TAGS = (sa.table(name, *map(sa.column, KNOWN[name], KNOWN[name].values())) for name in KNOWN)
_ROWS = sa.select(
    _METRICS.c.run_uuid,
    _METRICS.c.key,
    _METRICS.c.step,
    _METRICS.c.timestamp,
    sa.case((_METRICS.c.is_nan, None), else_=_METRICS.c.value),  # MLflow stores NaN as 0 with this mark
)

Row = tuple[str, str, int, int, float | None]
"""Run id, name, step, timestamp in ms and value of one metric; None stands for NaN."""


@dataclass(frozen=True)
class FoundRun:
    """What finding a run reads of it.

    Attributes:
        run_id: MLflow's name of the run.
        status: `RUNNING`, `FINISHED`, ...
        ended: time in ms; None while it runs.
        tags: some of its tags.
    """

    run_id: str
    status: str
    ended: int | None
    tags: Mapping[str, str]


def readable(client: MlflowClient, *tables: str) -> sa.Engine | None:
    """Return the database behind a client if these tables are as they are known here; None stands for a server, too."""
    engine: sa.Engine | None = getattr(client._tracking_client.store, "engine", None)
    differing = {} if engine is None else {table: _unknown_columns(engine, table) for table in tables}
    for table, unknown in differing.items():
        if unknown:
            logger.warning(
                "MLflow's table of %s differs in %s from the one known here: it is read through its client, which takes longer",
                table,
                ", ".join(f"`{name}`" for name in unknown),
            )
    return None if any(differing.values()) else engine


def read_rows(engine: sa.Engine, run_ids: Sequence[str]) -> Iterator[list[Row]]:
    """Yield every metric row of some runs, in no order, from one query."""
    query = _ROWS.where(_METRICS.c.run_uuid.in_(run_ids)).compile(engine, compile_kwargs={"literal_binds": True})
    with closing(engine.raw_connection()) as connection:  # its rows are plain tuples, which take half the time
        cursor = connection.cursor()
        cursor.execute(str(query))
        while rows := cursor.fetchmany(ROWS_PER_FETCH):
            yield list(rows)


def read_runs(engine: sa.Engine, experiment: str, tags: Sequence[str]) -> list[FoundRun]:
    """Return the runs of an experiment that have one of these tags, with these tags, the oldest first; no deleted runs."""
    place = _RUNS.c.start_time, _RUNS.c.run_uuid
    query = (
        sa.select(*place, _RUNS.c.status, _RUNS.c.end_time, _TAGS.c.key, _TAGS.c.value)
        .join_from(_RUNS, _TAGS, _TAGS.c.run_uuid == _RUNS.c.run_uuid)
        .where(_RUNS.c.experiment_id == int(experiment), _RUNS.c.lifecycle_stage == "active", _TAGS.c.key.in_(tags))
        .order_by(*place)
    )
    with engine.connect() as connection:
        return [
            FoundRun(run_id, status, ended, {name: value for *_, name, value in rows})
            for (_, run_id, status, ended), rows in groupby(connection.execute(query), itemgetter(slice(4)))
        ]


def _unknown_columns(engine: sa.Engine, table: str) -> list[str]:
    """Return the columns of a table that are not as `KNOWN`: missing, new, or of another type."""
    known, inspector = KNOWN[table], sa.inspect(engine)
    columns = inspector.get_columns(table) if inspector.has_table(table) else []
    found = {column["name"]: column["type"] for column in columns}
    return sorted(
        name
        for name in known.keys() | found.keys()
        if not (name in found and name in known and _alike(found[name], known[name]))
    )


def _alike(found: TypeEngine[Any], known: type[TypeEngine[Any]]) -> bool:
    """Whether both hold the same Python type; some databases have a small integer for a truth value."""
    expected = known().python_type
    return issubclass(found.python_type, int if expected is bool else expected)
