"""The MLflow of `cluster/compose` starts on a real PostgreSQL and an object store as it is written there, and asks for its password."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.record.mlflow.summary import Summary, record_summary
from mtlsweep.record.tables.curves import write_curves
from mtlsweep.trials.state import FinishedTrial
from tests.cluster.recipes import CLUSTER, documents
from tests.object_server import KEYS, make_bucket, object_server
from tests.servers import PostgreSQL, free_port, postgresql_server, runs_of

pytestmark = pytest.mark.slow

PASSWORD = "chosen-by-the-user"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"


class RecipeServer:
    """MLflow with command and variables of the recipe, and the addresses of this machine; it can be stopped and started."""

    def __init__(self, home: Path, database: PostgreSQL, store_port: int) -> None:
        self.database = database
        self._home = home
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        (compose,) = documents(CLUSTER / "compose/compose.yaml")
        service = compose["services"]["mlflow"]
        here = {
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={port}",
            "--artifacts-destination=s3://mlflow": f"--artifacts-destination=s3://{make_bucket(store_port).bucket}",
        }
        assert here.keys() <= set(service["command"])
        self._command = [sys.executable, "-m", *(here.get(part, part) for part in service["command"]), "--workers=1"]
        given = {
            **KEYS,
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{store_port}",
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_BACKEND_STORE_URI": database.uri,
        }
        self._variables = {**os.environ, **service["environment"], **given}

    def start(self) -> None:
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._variables, cwd=self._home, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 180
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.2)
        pytest.fail((self._home / "log").read_text())

    def stop(self) -> None:
        os.killpg(self._process.pid, 9)
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecipeServer]:
    home = tmp_path_factory.mktemp("mlflow")
    with postgresql_server() as database, object_server(home) as store_port:
        server = RecipeServer(home, database, store_port)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def status(address: str, path: str, password: str | None = None, **headers: str) -> int:
    if password is not None:
        headers["Authorization"] = f"Basic {b64encode(f'admin:{password}'.encode()).decode()}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_asks_for_the_password_of_the_environment(server: RecipeServer) -> None:
    assert status(server.address, SEARCH, PASSWORD) == 200
    assert status(server.address, SEARCH) == 401
    assert status(server.address, SEARCH, "password1234") == 401, "MLflow's default of earlier days"


def test_it_refuses_the_name_of_another_site(server: RecipeServer) -> None:
    """A page in the user's browser cannot reach it under a name of its own (DNS rebinding)."""
    assert status(server.address, SEARCH, PASSWORD, Host="evil.example") == 403


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user has a name and a password, no key of the object store, and little patience."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in (*KEYS, "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("user")
def test_a_wrong_password_is_said_in_one_sentence(server: RecipeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(
        UserError, match=r"cannot be used .*; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    ) as said:
        Tracker(server.address, "digits", "ours")
    assert "wrong" not in str(said.value)


@pytest.mark.usefixtures("user")
def test_server_and_database_start_again_while_trials_are_recorded(
    server: RecipeServer, tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    """Nothing is missing and nothing there twice; the summary's files go through the server to the object store."""
    finished, ledger = [make_finished(seed) for seed in range(12)], Ledger(tmp_path, "digits")
    recorder = Recorder(ledger, Tracker(server.address, "digits", ledger.id), {})
    happens = {3: server.stop, 5: server.start, 7: server.database.stop, 9: server.database.start}
    for number, one in enumerate(finished):
        happens.get(number, lambda: None)()
        ledger.start(one.trial)
        recorder.epochs(one.trial, one.state.curve[:2], one.execution.started_at)
        ledger.finish(one)
        recorder.finish(one)
        time.sleep(0.5)
    recorder.close(patience=120)
    tracker = Tracker(server.address, "digits", ledger.id)
    assert all(map(tracker.has, finished))
    keys = sorted(one.trial.key for one in finished)
    assert sorted(run.data.tags["trial_key"] for run in runs_of(server.address)) == keys
    write_curves(tmp_path / "curves.parquet", tracker, ledger, keys)  # which compares every value with the ledger
    figure = tmp_path / "report/figures/digits/front.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text("<svg/>")
    summary = Summary({"trials": 12}, ["A sentence."], "multidigits", "f" * 64)
    assert record_summary(server.address, "digits", ledger.id, summary, tmp_path / "report") is None
    client = MlflowClient(tracking_uri=server.address)
    (run,) = [run for run in runs_of(server.address) if run.data.tags.get("kind") == "summary"]
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert Path(client.download_artifacts(run.info.run_id, "figures/front.svg", str(tmp_path))).read_text() == "<svg/>"
