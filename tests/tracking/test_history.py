"""Metrics are read back from MLflow, every value once, whichever way they are read."""

from __future__ import annotations

import gc
import math
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from mtlsweep.errors import UserError
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.database import ROWS_PER_FETCH, FoundRun
from mtlsweep.record.mlflow.experiment import Experiment
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial
from tests.servers import MlflowServer, postgresql

MakeFinished = Callable[..., FinishedTrial]


def test_so_few_rows_are_fetched_at_once_that_the_garbage_collector_does_not_run() -> None:
    """It took as long as the query itself."""
    assert gc.get_threshold()[0] > ROWS_PER_FETCH


def change_schema(database: Path) -> None:
    """What a later MLflow might do: give every value a unit."""
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE metrics ADD COLUMN unit VARCHAR(10)")


@pytest.fixture
def changed(uri: str, tmp_path: Path) -> str:
    """The URI of a database that must be read through the client."""
    change_schema(tmp_path / "mlflow.db")
    return uri


def read(tracker: Tracker, *finished: FinishedTrial) -> list[tuple[str, int, str, float]]:
    keys = [one.trial.key for one in finished]
    rows = tracker.history(keys).read(keys).to_pylist()
    return [(row["trial_key"], row["step"], row["name"], row["value"]) for row in rows]


def write_odd_values(tracker: Tracker, trial: Trial) -> tuple[FinishedTrial, dict[str, float]]:
    values = {
        "val/left/r2": math.nan,
        "val/left/loss": math.inf,
        "test/left/loss": -math.inf,
        "val/left/accuracy": 0.1 + 0.2,
        "val/left/tiny": 5e-324,
    }
    curve = tuple(EpochRecord(epoch, values, 1_700_000_000.0 + epoch, 1.0) for epoch in (1, 2))
    finished = FinishedTrial(trial, Finished(Outcome.DONE, curve), Execution(1.0, 2.0, 1.0, "host", 1, {}))
    tracker.finish(finished, {})
    return finished, values


def check_odd_values(tracker: Tracker, trial: Trial) -> None:
    finished, values = write_odd_values(tracker, trial)
    rows = {(epoch, name): value for _, epoch, name, value in read(tracker, finished)}
    expected = {(epoch, name): value for epoch in (1, 2) for name, value in values.items()}
    assert {place: value.hex() for place, value in rows.items()} == {
        place: value.hex() for place, value in expected.items()
    }


@pytest.mark.parametrize("database", ["uri", "changed"])
def test_a_database_gives_back_every_value_once(
    database: str, request: pytest.FixtureRequest, make_trial: Callable[..., Trial]
) -> None:
    check_odd_values(Tracker(request.getfixturevalue(database), "digits", "ours"), make_trial())


@pytest.mark.slow
def test_a_server_gives_back_every_value_once(tmp_path: Path, make_trial: Callable[..., Trial]) -> None:
    server = MlflowServer(tmp_path)
    server.start()
    try:
        check_odd_values(Tracker(server.uri, "digits", "ours"), make_trial())
    finally:
        server.stop()


def test_a_changed_table_is_read_through_the_client_and_a_known_one_is_not(
    uri: str, tmp_path: Path, make_finished: MakeFinished, caplog: pytest.LogCaptureFixture
) -> None:
    finished, tracker = make_finished(), Tracker(uri, "digits", "ours")
    tracker.finish(finished, {})
    known = read(tracker, finished)
    assert caplog.messages == []
    change_schema(tmp_path / "mlflow.db")
    assert sorted(read(tracker, finished)) == sorted(known)
    assert caplog.messages == [
        "MLflow's table of metrics differs in `unit` from the one known here: it is read through its client, which takes longer"
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("ALTER TABLE metrics DROP COLUMN timestamp", "timestamp"),
        ("ALTER TABLE metrics RENAME COLUMN value TO number", "number`, `value"),
        (
            "ALTER TABLE metrics RENAME COLUMN step TO old; ALTER TABLE metrics ADD COLUMN step VARCHAR(9)",
            "old`, `step",
        ),
    ],
)
def test_a_column_that_is_gone_renamed_or_of_another_type_is_noticed(
    uri: str, tmp_path: Path, change: str, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = Tracker(uri, "digits", "ours")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'metrics'").fetchone()[0]
        bare = rows[: rows.index("PRIMARY KEY")].rstrip().rstrip(",") + ")"
        connection.executescript(f"DROP TABLE metrics; {bare}; {change}")
    tracker.history([])
    assert f"differs in `{named}` from" in caplog.text


def test_reading_what_was_never_written_is_an_error(uri: str, make_finished: MakeFinished) -> None:
    with pytest.raises(
        UserError, match=r"1 finished trials .* have no complete run in MLflow .* run `mtlsweep mlflow rebuild digits`"
    ):
        Tracker(uri, "digits", "ours").history([make_finished().trial.key])


@pytest.mark.slow
@pytest.mark.parametrize("database", ["uri", "changed"])
def test_reading_pages_to_the_end(
    database: str, request: pytest.FixtureRequest, make_finished: MakeFinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtlsweep.record.mlflow.experiment.RUNS_PER_PAGE", 4)
    monkeypatch.setattr("mtlsweep.record.mlflow.history.RUNS_PER_HISTORY_CALL", 3)
    uri = request.getfixturevalue(database)
    tracker = Tracker(uri, "digits", "ours")
    entries = [make_finished(seed, epochs=2) for seed in range(11)]
    for entry in entries:
        tracker.finish(entry, {})
    again = Tracker(uri, "digits", "ours")
    assert all(again.has(entry) for entry in entries)
    assert len(set(read(tracker, *entries))) == 11 * 2 * 4


def test_curves_longer_than_an_answer_are_read_to_the_end(
    changed: str, make_finished: MakeFinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four runs of seven epochs, and no answer has more than ten rows."""
    monkeypatch.setattr("mtlsweep.record.mlflow.history.ROWS_PER_HISTORY_CALL", 10)
    tracker = Tracker(changed, "digits", "ours")
    entries = [make_finished(seed, epochs=7) for seed in range(4)]
    for entry in entries:
        tracker.finish(entry, {})
    assert len(set(read(tracker, *entries))) == 4 * 7 * 4


@pytest.mark.slow
def test_twenty_thousand_runs_are_read_without_truncation(
    uri: str, tmp_path: Path, make_finished: MakeFinished
) -> None:
    """One run is written by the tracker and copied 19,999 times inside the database, with its tags, params and rows."""
    count, finished = 20_000, make_finished(epochs=2)
    Tracker(uri, "digits", "ours").finish(finished, {})
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        (original,) = database.execute("SELECT run_uuid FROM runs").fetchone()
        database.execute("CREATE TEMP TABLE copies AS WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                         "SELECT i, printf('%032x', i) AS id FROM n", (count - 1,))  # fmt: skip
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            chosen = ", ".join("copies.id" if name == "run_uuid" else f"{table}.{name}" for name in columns)
            database.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM {table}, copies WHERE {table}.run_uuid = ?",
                (original,),
            )
        database.execute("UPDATE tags SET value = run_uuid WHERE key = 'trial_key' AND run_uuid != ?", (original,))
    keys = [finished.trial.key, *(f"{copy:032x}" for copy in range(1, count))]
    history = Tracker(uri, "digits", "ours").history(keys)
    rows = {
        tuple(row.values())
        for start in range(0, count, 500)
        for row in history.read(keys[start : start + 500]).to_pylist()
    }
    assert len(rows) == count * 2 * 4


def trial_runs(uri: str) -> list[FoundRun]:
    return Experiment(uri, "digits", "ours").runs_of_trials()


def write_every_kind_of_run(uri: str, make_finished: MakeFinished) -> None:
    """Runs of two ledgers and of none, of each outcome, running, deleted, and of no trial, in no order of time."""
    client = MlflowClient(tracking_uri=uri)
    for number, outcome in enumerate([*Outcome, Outcome.DONE]):
        finished = make_finished(number, outcome=outcome)
        started_at = 1_700_000_000.0 + (7 * number) % 5
        finished = replace(finished, execution=replace(finished.execution, started_at=started_at))
        for ledger_id in ("ours", "theirs"):
            Tracker(uri, "digits", ledger_id, reference="baselines" if number % 2 else "").finish(finished, {})
    ours = Tracker(uri, "digits", "ours")
    ours.log_epochs(make_finished(8).trial, make_finished(8).state.curve[:1], 0.0)
    ours.forget(make_finished(0))
    client.delete_tag(trial_runs(uri)[-1].run_id, "ledger_id")
    client.create_run(Experiment(uri, "digits", "ours").id, tags={"ledger_id": "ours"})
    Tracker(uri, "another", "ours").finish(make_finished(1), {})


@pytest.mark.slow
def test_a_database_and_the_client_find_the_same_runs(
    uri: str, tmp_path: Path, make_finished: MakeFinished, caplog: pytest.LogCaptureFixture
) -> None:
    write_every_kind_of_run(uri, make_finished)
    found = trial_runs(uri)
    assert len(found) == 2 * (len(Outcome) + 1) - 1 + 1
    assert {run.status for run in found} == {"FINISHED", "KILLED", "FAILED", "RUNNING"}
    assert caplog.messages == []
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("ALTER TABLE runs ADD COLUMN workspace VARCHAR(9)")
    assert trial_runs(uri) == found
    assert caplog.messages == [
        "MLflow's table of runs differs in `workspace` from the one known here: it is read through its client, which takes longer"
    ]


def test_runs_are_found_in_a_database_without_the_client(
    uri: str, make_finished: MakeFinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client takes 2 ms a run."""
    finished = make_finished()
    Tracker(uri, "digits", "ours").finish(finished, {})
    monkeypatch.delattr(MlflowClient, "search_runs")
    tracker = Tracker(uri, "digits", "ours")
    assert tracker.has(finished)
    assert tracker.outcomes() == {finished.trial.key: "done"}


@pytest.mark.slow
def test_postgresql_and_the_client_find_the_same_runs(make_finished: MakeFinished) -> None:
    with postgresql() as uri:
        write_every_kind_of_run(uri, make_finished)
        found = trial_runs(uri)
        with sa.create_engine(uri).begin() as connection:
            connection.exec_driver_sql("ALTER TABLE tags ADD COLUMN author VARCHAR(9)")
        assert trial_runs(uri) == found
