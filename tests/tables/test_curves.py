"""The table of curves comes from MLflow, agrees with the ledger, and has the same bytes for equal results."""

from __future__ import annotations

import io
import logging
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker, history
from mtlsweep.record.tables.curves import write_curves
from mtlsweep.record.tables.outcomes import build_costs, build_outcomes
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.record.tables.schema import CURVES, OUTCOMES
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial, Outcome
from tests.servers import MlflowServer, postgresql

MakeFinished = Callable[..., FinishedTrial]


class Record:
    """A ledger and its MLflow, and the table they give."""

    def __init__(self, directory: Path, uri: str) -> None:
        self.directory, self.uri = directory, uri
        self.ledger = Ledger(directory, "digits")
        self.tracker = Tracker(uri, "digits", "ours")
        self.keys: list[str] = []

    def add(self, *finished: FinishedTrial) -> None:
        for one in finished:
            self.ledger.finish(one)
            self.tracker.finish(one, {})
            self.keys.append(one.trial.key)

    def table(self) -> bytes:
        path = self.directory / "curves.parquet"
        write_curves(path, self.tracker, self.ledger, self.keys)
        return path.read_bytes()

    @property
    def run_id(self) -> str:
        client = MlflowClient(tracking_uri=self.uri)
        experiment = client.get_experiment_by_name("digits")
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id])
        return str(run.info.run_id)

    def log(self, name: str, value: float, epoch: int, timestamp: int = 1) -> None:
        client = MlflowClient(tracking_uri=self.uri)
        client.log_metric(self.run_id, name, value, timestamp=timestamp, step=epoch)


@pytest.fixture
def record(tmp_path: Path, uri: str) -> Record:
    return Record(tmp_path, uri)


def in_one_piece(finished: Sequence[FinishedTrial]) -> bytes:
    """The table as it was made before it was streamed: every row a tuple, all sorted, one frame, one write."""
    rows = sorted(
        (one.trial.key, record.epoch, *name.split("/"), value)
        for one in finished
        for record in one.state.curve
        for name, value in record.metrics.items()
        if name.count("/") == 2
    )
    frame = pd.DataFrame(rows, columns=CURVES.names)
    table = pa.Table.from_pandas(frame, schema=CURVES, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def odd_trials(make: MakeFinished) -> list[FinishedTrial]:
    """Trials whose rows are hard to sort and to keep: names out of order, gaps, numbers that JSON does not know."""
    values = [0.1 + 0.2, math.nan, math.inf, -math.inf, 5e-324, 1e308]
    names = ["val/b/loss", "val/a-b/loss", "val/a/loss", "test/a/x", "train/a b/y", "test/a/accuracy"]
    trials = []
    for seed in range(12):
        curve = tuple(
            EpochRecord(
                epoch, dict(list(zip(names, values[seed % 6 :] + values, strict=False))[epoch % 2 :]), 1e9 + epoch, 1.0
            )
            for epoch in range(1, 4 + seed)
        )
        finished = make(seed, outcome=[Outcome.DONE, Outcome.DIVERGED][seed % 2])
        trials.append(replace(finished, state=replace(finished.state, curve=curve)))
    return [*trials, make(99, epochs=0, outcome=Outcome.FAILED)]


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "trials"), [(1, 500), (50, 500), (10**6, 3), (10**6, 500)])
def test_the_bytes_are_those_of_a_table_made_in_one_piece(
    record: Record, make_finished: MakeFinished, monkeypatch: pytest.MonkeyPatch, rows: int, trials: int
) -> None:
    finished = odd_trials(make_finished)
    record.add(*finished)
    monkeypatch.setattr(history, "FROM_DATABASE", history.Portion(rows, trials))
    assert record.table() == in_one_piece(finished)


def through_the_client(directory: Path, uri: str) -> Iterator[str]:
    with sqlite3.connect(directory / "mlflow.db") as connection:
        connection.execute("ALTER TABLE metrics ADD COLUMN unit VARCHAR(10)")
    yield uri


def through_a_server(directory: Path, uri: str) -> Iterator[str]:
    server = MlflowServer(directory)
    server.start()
    yield server.uri
    server.stop()


def from_postgresql(directory: Path, uri: str) -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("way", [through_the_client, through_a_server, from_postgresql])
def test_every_way_to_mlflow_gives_the_same_bytes(
    way: Callable[[Path, str], Iterator[str]],
    tmp_path: Path,
    uri: str,
    make_finished: MakeFinished,
    caplog: pytest.LogCaptureFixture,
) -> None:
    finished = odd_trials(make_finished)
    opened = way(tmp_path, uri)
    record = Record(tmp_path, next(opened))
    record.add(*finished)
    with caplog.at_level(logging.WARNING, "mtlsweep"):
        assert record.table() == in_one_piece(finished)
    assert ("differs in `unit`" in caplog.text) == (way is through_the_client)
    assert list(opened) == []


def test_no_trials_give_an_empty_table(record: Record) -> None:
    assert record.table() == in_one_piece([])


def test_the_order_in_which_trials_are_named_does_not_matter(record: Record, make_finished: MakeFinished) -> None:
    record.add(*(make_finished(seed) for seed in range(5)))
    table = record.table()
    record.keys.reverse()
    assert record.table() == table


def test_figures_over_all_tasks_and_those_of_the_epoch_that_counts_are_no_part_of_the_table(
    record: Record, make_finished: MakeFinished
) -> None:
    finished = make_finished()
    record.add(finished)
    for name in ("val/delta_m", "loss", "best/epoch", "best/val_delta_m", "best/test_left_accuracy"):
        record.log(name, 3.0, epoch=1)
    assert record.table() == in_one_piece([finished])


def test_of_two_values_at_one_place_the_earlier_counts(record: Record, make_finished: MakeFinished) -> None:
    finished = make_finished()
    record.add(finished)
    later, earlier = 2_000_000_000_000, 1
    record.log("val/left/accuracy", 0.99, epoch=1, timestamp=later)
    assert record.table() == in_one_piece([finished])
    record.log("val/left/accuracy", 0.99, epoch=1, timestamp=earlier)
    with pytest.raises(UserError, match=r"`val/left/accuracy` at epoch 1 is 0\.99 in MLflow and 0\.1 in the ledger"):
        record.table()


def test_outcomes_have_equal_bytes_too(make_finished: MakeFinished, tmp_path: Path) -> None:
    finished = [make_finished(seed, outcome=outcome) for seed, outcome in enumerate([Outcome.DONE, Outcome.DIVERGED])]
    for number, order in enumerate((finished, finished[::-1])):
        write_table(tmp_path / f"outcomes{number}", build_outcomes(order), OUTCOMES)
    assert (tmp_path / "outcomes0").read_bytes() == (tmp_path / "outcomes1").read_bytes()


def test_times_and_hosts_stay_out_of_the_outs(make_finished: MakeFinished) -> None:
    assert not {"seconds", "host", "started"} & {*CURVES.names, *OUTCOMES.names}
    assert {"seconds", "host", "started", "attempts"} <= set(build_costs([make_finished()]).columns)


@pytest.mark.slow
def test_an_altered_record_is_found(record: Record, make_finished: MakeFinished) -> None:
    record.add(make_finished())
    record.log("val/left/accuracy", 0.99, epoch=9)
    with pytest.raises(
        UserError, match=r"MLflow and the ledger differ for trial .*`val/left/accuracy` at epoch 9 is 0\.99 in MLflow"
    ):
        record.table()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            "DELETE FROM metrics WHERE step = 2 AND key = 'val/left/accuracy'",
            "`val/left/accuracy` at epoch 2 is None in",
        ),
        (
            "UPDATE metrics SET is_nan = 1 WHERE step = 3 AND key LIKE 'val/%'",
            "`val/left/accuracy` at epoch 3 is nan in",
        ),
        (
            "UPDATE metrics SET value = value + 1e-16 WHERE key = 'test/right/accuracy'",
            "`test/right/accuracy` at epoch 1",
        ),
        ("UPDATE metrics SET step = step + 4294967296 WHERE step = 2", "at epoch 2 is None in"),
    ],
)
def test_the_first_difference_is_named_and_no_table_is_left(
    record: Record, make_finished: MakeFinished, tmp_path: Path, change: str, named: str
) -> None:
    record.add(*(make_finished(seed) for seed in range(3)))
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute(change)
    with pytest.raises(UserError, match=named) as caught:
        record.table()
    assert min(record.keys) in str(caught.value)
    assert not list(tmp_path.glob("*curves.parquet*"))
