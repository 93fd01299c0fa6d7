"""What people and networks do to MLflow while a sweep writes to it: what can be mended is, and nothing stands behind it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.entries import params_of
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome
from tests.servers import MlflowServer, runs_of

pytestmark = pytest.mark.slow

MakeFinished = Callable[..., FinishedTrial]


def delete(uri: str, run: Run) -> None:
    """As the UI does."""
    MlflowClient(tracking_uri=uri).delete_run(run.info.run_id)


def purge(uri: str, run: Run) -> None:
    """As the UI and then `mlflow gc` do."""
    client = MlflowClient(tracking_uri=uri)
    client.delete_run(run.info.run_id)
    client._tracking_client.store._hard_delete_run(run.info.run_id)


def check_complete(uri: str, finished: FinishedTrial) -> None:
    """The trial has one run with its params, its dataset, its end, and every value of its curve once."""
    (run,) = (run for run in runs_of(uri) if run.data.tags["trial_key"] == finished.trial.key)
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in params_of(finished.trial).items()}
    assert run.inputs is not None and len(run.inputs.dataset_inputs) == 1
    client = MlflowClient(tracking_uri=uri)
    for name in finished.state.curve[0].metrics:
        steps = [row.step for row in client.get_metric_history(run.info.run_id, name)]
        assert sorted(steps) == [record.epoch for record in finished.state.curve]


@pytest.mark.parametrize("remove", [delete, purge])
def test_a_running_run_that_somebody_deletes_is_made_anew(
    uri: str, make_finished: MakeFinished, remove: Callable[[str, Run], None]
) -> None:
    finished, tracker = make_finished(), Tracker(uri, "digits", "ours")
    for records in finished.state.curve[:1], finished.state.curve[1:2]:
        tracker.log_epochs(finished.trial, records, finished.execution.started_at)
        (run,) = runs_of(uri)
        remove(uri, run)
    tracker.finish(finished, {})
    check_complete(uri, finished)


@pytest.mark.parametrize("remove", [delete, purge])
def test_a_complete_run_that_somebody_deletes_is_made_anew_when_it_would_be_replaced(
    uri: str, make_finished: MakeFinished, remove: Callable[[str, Run], None]
) -> None:
    finished = make_finished()
    Tracker(uri, "digits", "ours").finish(finished, {})
    tracker = Tracker(uri, "digits", "ours", reference="other baselines")
    remove(uri, runs_of(uri)[0])
    tracker.finish(finished, {})
    check_complete(uri, finished)


@pytest.mark.slow
def test_a_run_deleted_on_a_server_hinders_no_other(tmp_path: Path, make_finished: MakeFinished) -> None:
    server = MlflowServer(tmp_path)
    server.start()
    try:
        ledger, finished = Ledger(tmp_path, "digits"), [make_finished(seed) for seed in range(3)]
        recorder = Recorder(ledger, Tracker(server.uri, "digits", ledger.id), {})
        recorder.epochs(finished[0].trial, finished[0].state.curve[:1], 0.0)
        while not (runs := runs_of(server.uri)):
            time.sleep(0.05)
        delete(server.uri, runs[0])
        for one in finished:
            ledger.finish(one)
            recorder.finish(one)
        recorder.close()
        for one in finished:
            check_complete(server.uri, one)
    finally:
        server.stop()


class FailsOnce:
    """Stands for a method of MLflow's client: the first call fails, before or after it was carried out."""

    def __init__(self, method: Callable[..., Any], carried_out: bool) -> None:
        self._method = method
        self._carried_out = carried_out
        self._failed = False

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self._failed:
            return self._method(*arguments, **named)
        self._failed = True
        if self._carried_out:
            self._method(*arguments, **named)
        raise MlflowException("the connection was lost", TEMPORARILY_UNAVAILABLE)


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("method", ["create_run", "log_batch", "log_inputs", "set_terminated"])
@pytest.mark.parametrize("live", [False, True])
def test_a_run_half_made_is_completed_on_the_next_try(
    uri: str,
    tmp_path: Path,
    make_finished: MakeFinished,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    carried_out: bool,
    live: bool,
) -> None:
    ledger, finished = Ledger(tmp_path, "digits"), make_finished()
    tracker = Tracker(uri, "digits", ledger.id)
    client = tracker._client
    monkeypatch.setattr(client, method, FailsOnce(getattr(client, method), carried_out))
    recorder = Recorder(ledger, tracker, {})
    if live:
        recorder.epochs(finished.trial, finished.state.curve[:1], finished.execution.started_at)
    ledger.finish(finished)
    recorder.finish(finished)
    recorder.close()
    check_complete(uri, finished)


def test_a_trial_that_breaks_the_server_each_time_is_named_and_the_others_are_written(
    uri: str, tmp_path: Path, make_finished: MakeFinished
) -> None:
    """SQLite has no such integer, and MLflow calls that an internal error, as it calls an outage of the database."""
    ledger = Ledger(tmp_path, "digits")
    bad, *good = (make_finished(seed) for seed in range(3))
    curve = tuple(EpochRecord(2**70, record.metrics, record.finished_at, 1.0) for record in bad.state.curve)
    bad = replace(bad, state=Finished(Outcome.DONE, curve))
    recorder = Recorder(ledger, Tracker(uri, "digits", ledger.id), {})
    for one in (bad, *good):
        ledger.finish(one)
        recorder.finish(one)
    with pytest.raises(UserError, match=rf"refused trial {bad.trial.key} \(.*too large.*\); every result is safe"):
        recorder.close(patience=20)
    for one in good:
        check_complete(uri, one)


def test_many_refused_trials_are_one_sentence(uri: str, tmp_path: Path, make_finished: MakeFinished) -> None:
    ledger, finished = Ledger(tmp_path, "digits"), [make_finished(seed) for seed in range(5)]
    recorder = Recorder(ledger, Tracker(uri, "digits", ledger.id), {})
    client: Any = MlflowClient(tracking_uri=uri)
    client.delete_experiment(client.get_experiment_by_name("digits").experiment_id)
    for one in finished:
        ledger.finish(one)
        recorder.finish(one)
    with pytest.raises(UserError, match=rf"refused trial {finished[0].trial.key} .* and 2 more; every result is safe"):
        recorder.close()
    with pytest.raises(
        UserError, match=r"experiment `digits` .* is deleted: restore it in MLflow, or delete it for good"
    ):
        Tracker(uri, "digits", ledger.id)
    client.restore_experiment(client.get_experiment_by_name("digits").experiment_id)
    again = Tracker(uri, "digits", ledger.id)
    for one in finished:
        again.finish(one, {})
        check_complete(uri, one)


def test_a_hundred_and_fifty_options_are_params(uri: str, make_finished: MakeFinished) -> None:
    options = {f"option_{number}": number for number in range(150)}
    finished = make_finished(weighting=Choice(name="own", options=options))
    Tracker(uri, "digits", "ours").finish(finished, {})
    check_complete(uri, finished)


def test_a_traceback_with_characters_that_databases_refuse_is_shown(uri: str, make_finished: MakeFinished) -> None:
    failed = make_finished(outcome=Outcome.FAILED)
    failed = replace(failed, state=replace(failed.state, detail="no file `a\0b\udc80c`"))
    Tracker(uri, "digits", "ours").finish(failed, {})
    (run,) = runs_of(uri)
    assert "no file `a?b?c`" in run.data.tags["mlflow.note.content"]


def test_a_mistake_of_ours_is_known_at_once(uri: str, tmp_path: Path, make_finished: MakeFinished) -> None:
    def mistaken(epochs: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
        raise KeyError("no such metric")

    ledger, finished = Ledger(tmp_path, "digits"), make_finished()
    recorder = Recorder(ledger, Tracker(uri, "digits", ledger.id, mistaken), {})
    assert recorder.error is None
    ledger.finish(finished)
    recorder.finish(finished)
    deadline = time.monotonic() + 20
    while recorder.error is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(KeyError, match="no such metric"):
        recorder.close()


CALLS: list[Callable[[Tracker, FinishedTrial, FinishedTrial], object]] = [
    lambda tracker, old, new: tracker.drop_unfinished(),
    lambda tracker, old, new: tracker.log_epochs(new.trial, new.state.curve, 0.0),
    lambda tracker, old, new: tracker.finish(new, {}),
    lambda tracker, old, new: tracker.forget(old),
    lambda tracker, old, new: tracker.watch_machine(),
    lambda tracker, old, new: tracker.outcomes(),
    lambda tracker, old, new: tracker.history([old.trial.key]).read([old.trial.key]),
    lambda tracker, old, new: Tracker(tracker._uri, "digits", "ours"),
]


@pytest.mark.parametrize("call", CALLS)
def test_whatever_the_server_says_is_one_sentence(
    uri: str,
    tmp_path: Path,
    make_finished: MakeFinished,
    call: Callable[[Tracker, FinishedTrial, FinishedTrial], object],
) -> None:
    """No exception of MLflow or of a database driver leaves the tracker."""
    old, running, new = (make_finished(seed) for seed in range(3))
    tracker = Tracker(uri, "digits", "ours")
    tracker.finish(old, {})
    tracker.log_epochs(running.trial, running.state.curve[:1], 0.0)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.executescript("DROP TABLE metrics; DROP TABLE runs; DROP TABLE tags")
    with pytest.raises(
        UserError, match=r"tracking server sqlite:///.* cannot be used \((no such table.*|metrics)\)"
    ) as caught:
        call(tracker, old, new)
    assert "\n" not in str(caught.value)
