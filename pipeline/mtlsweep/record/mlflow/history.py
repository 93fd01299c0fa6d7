"""Reading metrics back from MLflow: of some finished trials at a time, so that memory stays small however long a study is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from mlflow import MlflowClient
from mlflow.utils.rest_utils import http_request

from mtlsweep.record.mlflow.database import Row, read_rows, readable
from mtlsweep.record.mlflow.outage import server_errors

RUNS_PER_HISTORY_CALL = 50
"""Runs whose rows of one metric a server is asked for at once."""

ROWS_PER_HISTORY_CALL = 25_000
"""Most rows a server returns for one metric of several runs."""

ROWS_PER_PIECE = 10_000
"""Rows that are Python objects at once, before Arrow has them."""

LARGEST_STORED = 1.7976931348623157e308
"""What MLflow's databases keep in place of an infinity."""

RECORDED = pa.schema(
    [
        ("run_id", pa.dictionary(pa.int32(), pa.string())),
        ("name", pa.dictionary(pa.int32(), pa.string())),
        ("step", pa.int64()),
        ("timestamp", pa.int64()),
        ("value", pa.float64()),
    ]
)
"""One row for each value: id of the run, name of the metric, epoch, time in milliseconds, value."""


@dataclass(frozen=True)
class Portion:
    """How much is best read at once: until one of the two is reached."""

    rows: int
    trials: int


FROM_DATABASE = Portion(rows=100_000, trials=500)

FROM_CLIENT = Portion(rows=2_000_000, trials=RUNS_PER_HISTORY_CALL)
"""Larger, since each metric is a call of its own."""


class MetricHistory:
    """Reader of the metrics of one experiment's finished runs.

    A database is asked for the rows of many runs in one query, as long as its table of metrics has the
    columns that this module knows. Else, and for a server, MLflow's client is asked metric by metric.

    Args:
        client: knows where MLflow is.
        experiment: id of the experiment.
        runs: id of the run of each trial, by trial key.
    """

    def __init__(self, client: MlflowClient, experiment: str, runs: Mapping[str, str]) -> None:
        self._client = client
        self._experiment = experiment
        self._runs = runs
        self._store = client._tracking_client.store
        self._engine = readable(client, "metrics")

    @property
    def portion(self) -> Portion:
        """For how many trials `read` should be called at once, to be fast and to stay small."""
        return FROM_CLIENT if self._engine is None else FROM_DATABASE

    def read(self, keys: Sequence[str]) -> pa.Table:
        """Return all that MLflow has of the named trials, in no order.

        Returns:
            The columns of `RECORDED`, with the trial's key, `trial_key`, in place of the run's id.

        Raises:
            TrackingError: the server does not give them.
        """
        key_of_run = {self._runs[key]: key for key in keys}
        run_ids = list(key_of_run)
        with server_errors(self._client.tracking_uri):
            answers = self._ask(run_ids) if self._engine is None else read_rows(self._engine, run_ids)
            pieces = [RECORDED.empty_table(), *map(_to_table, _by_column(answers))]
        table = pa.concat_tables(pieces).unify_dictionaries().combine_chunks()
        run = table["run_id"].combine_chunks()
        trial_keys = pa.array([key_of_run[run_id] for run_id in run.dictionary.to_pylist()], pa.string())
        return table.set_column(0, "trial_key", pa.DictionaryArray.from_arrays(run.indices, trial_keys))

    def _ask(self, run_ids: Sequence[str]) -> Iterator[list[Row]]:
        """Yield the rows of some runs in the answers of MLflow's client."""
        for start in range(0, len(run_ids), RUNS_PER_HISTORY_CALL):
            some = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + RUNS_PER_HISTORY_CALL])
            having: dict[str, list[str]] = {}
            for run in self._client.search_runs([self._experiment], f"attributes.run_id IN ({some})"):
                for name in run.data.metrics:
                    having.setdefault(name, []).append(run.info.run_id)
            for name, runs in having.items():
                yield self._whole_history(runs, name)

    def _whole_history(self, run_ids: Sequence[str], name: str) -> list[Row]:
        """Return the rows of a few runs; an answer as long as the limit may be cut short, so halves are asked for."""
        if len(run_ids) == 1:
            pages_to_the_end = self._client.get_metric_history(run_ids[0], name)
            return [(run_ids[0], name, row.step, row.timestamp, row.value) for row in pages_to_the_end]
        rows = self._bulk_history(run_ids, name)
        if len(rows) < ROWS_PER_HISTORY_CALL:
            return rows
        middle = len(run_ids) // 2
        return [row for half in (run_ids[:middle], run_ids[middle:]) for row in self._whole_history(half, name)]

    def _bulk_history(self, run_ids: Sequence[str], name: str) -> list[Row]:
        if hasattr(self._store, "get_metric_history_bulk"):
            found = self._store.get_metric_history_bulk(list(run_ids), name, ROWS_PER_HISTORY_CALL)
            return [(row.run_id, name, row.step, row.timestamp, row.value) for row in found]
        response = http_request(
            self._store.get_host_creds(),
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
            "GET",
            params={"run_id": list(run_ids), "metric_key": name, "max_results": ROWS_PER_HISTORY_CALL},
        )
        response.raise_for_status()
        return [_from_json(row, name) for row in response.json()["metrics"]]


def _from_json(row: Mapping[str, Any], name: str) -> Row:
    return row["run_id"], name, int(row["step"]), int(row["timestamp"]), float(row["value"])


_Columns = Sequence[list[Any]]
"""The entries of some rows, column by column."""


def _by_column(answers: Iterable[Sequence[Row]]) -> Iterator[_Columns]:
    """Yield the rows of the answers by column, at least `ROWS_PER_PIECE` at a time except for the last."""
    columns: _Columns = tuple([] for _ in RECORDED)
    for rows in answers:
        for column, entries in zip(columns, zip(*rows, strict=True), strict=False):  # an answer may have no rows
            column.extend(entries)
        if len(columns[0]) >= ROWS_PER_PIECE:
            yield columns
            columns = tuple([] for _ in RECORDED)
    yield columns


def _to_table(columns: _Columns) -> pa.Table:
    run_ids, names, steps, timestamps, values = columns
    arrays = [
        pa.array(run_ids, pa.string()).dictionary_encode(),
        pa.array(names, pa.string()).dictionary_encode(),
        pa.array(steps, pa.int64()),
        pa.array(timestamps, pa.int64()),
        _restored(pa.array(values, pa.float64())),
    ]
    return pa.Table.from_arrays(arrays, schema=RECORDED)


def _restored(values: pa.Array) -> pa.Array:
    """Return the values as they were logged: NaN where there is none, infinities where the largest number stands."""
    stored = pc.fill_null(values, np.nan).to_numpy()
    return pa.array(np.where(np.abs(stored) >= LARGEST_STORED, np.copysign(np.inf, stored), stored))
