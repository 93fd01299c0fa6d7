"""Which errors of a tracking server the recorder waits out, and what it says of the others."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.outage import is_outage, server_errors
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.trials.state import FinishedTrial


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionRefusedError("nobody listens"), True),
        (MlflowException("database is locked", TEMPORARILY_UNAVAILABLE), True),
        (MlflowException("(InterfaceError) connection already closed", BAD_REQUEST), True),
        (MlflowException("API request failed with exception"), True),
        (MlflowException("run must be in the 'active' state", INVALID_PARAMETER_VALUE), False),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), False),
        (RestException({"error_code": "UNAUTHENTICATED", "message": "who?"}), False),
        (KeyError("a mistake of ours"), False),
    ],
)
def test_outages_are_temporary_and_refusals_are_not(error: Exception, passes: bool) -> None:
    assert is_outage(error) is passes


def test_what_the_client_raises_where_nobody_listens_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = MlflowClient(tracking_uri=f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(MlflowException) as caught:
            client.search_experiments()
    assert is_outage(caught.value)


class Stubborn(Tracker):
    """A tracker whose first calls of `finish` raise one error after another."""

    errors: list[Exception]

    def finish(self, finished: FinishedTrial, tags: Mapping[str, str]) -> None:
        with server_errors(self._uri):
            if self.errors:
                raise self.errors.pop(0)
        super().finish(finished, tags)


def record(tmp_path: Path, finished: list[FinishedTrial], *errors: Exception) -> Tracker:
    """Give finished trials to a recorder whose server raises `errors` first, and wait for it."""
    tracker = Stubborn(f"sqlite:///{tmp_path / 'mlflow.db'}", "digits", "ours")
    tracker.errors = list(errors)
    ledger = Ledger(tmp_path, "digits")
    recorder = Recorder(ledger, tracker, {})
    for one in finished:
        ledger.finish(one)
        recorder.finish(one)
    recorder.close(patience=20)
    return tracker


@pytest.mark.slow
def test_an_outage_is_waited_out(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    finished = [make_finished(seed) for seed in range(2)]
    tracker = record(tmp_path, finished, OSError("away"), MlflowException("locked", TEMPORARILY_UNAVAILABLE))
    assert all(map(tracker.has, finished))


@pytest.mark.slow
def test_a_refusal_is_said_at_once_and_the_others_are_written(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    finished = [make_finished(seed) for seed in range(3)]
    refusal = MlflowException("Param value is too long\nby a lot", INVALID_PARAMETER_VALUE)
    with pytest.raises(UserError) as caught:
        record(tmp_path, finished, refusal)
    assert f"refused trial {finished[0].trial.key} (Param value is too long); every result is safe" in str(caught.value)
    tracker = Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", "digits", "ours")
    assert [tracker.has(one) for one in finished] == [False, True, True]


@pytest.mark.slow
def test_an_experiment_that_was_deleted_meanwhile_is_a_refusal(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    ledger, one = Ledger(tmp_path, "digits"), make_finished()
    recorder = Recorder(ledger, Tracker(uri, "digits", "ours"), {})
    client: Any = MlflowClient(tracking_uri=uri)
    client.delete_experiment(client.get_experiment_by_name("digits").experiment_id)
    ledger.finish(one)
    recorder.finish(one)
    with pytest.raises(UserError, match=r"refused trial .*'active' state.*every result is safe"):
        recorder.close()
