"""The recorder may lag behind an outage of MLflow; it loses nothing and repeats nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.trials.state import FinishedTrial


class Server:
    """A real MLflow server on loopback that can be stopped and started."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--workers",
            "1",
        ]
        command += ["--backend-store-uri", f"sqlite:///{self._directory / 'server.db'}"]
        log = (self._directory / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        pytest.fail((self._directory / "server.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


@pytest.mark.slow
def test_an_outage_in_the_middle_loses_nothing(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        tracker = Tracker(server.uri, "digits")
        ledger = Ledger(tmp_path, "digits")
        recorder = Recorder(ledger, tracker, {"sweep_id": "s"})
        entries = [make_finished(seed) for seed in range(9)]
        for number, entry in enumerate(entries):
            if number == 3:
                while not all(map(tracker.has, entries[:3])):
                    time.sleep(0.05)
                server.stop()
            if number == 6:
                while recorder.outage is None:
                    time.sleep(0.05)
                server.start()
            recorder.epochs(entry.trial, entry.state.curve[:1], 0.0)
            ledger.finish(entry)
            recorder.finish(entry)
        recorder.close()
        assert all(map(Tracker(server.uri, "digits").has, entries))
        assert len(list(tracker.read_metrics(entry.trial.key for entry in entries))) == 9 * 3 * 4
    finally:
        server.stop()


@pytest.mark.slow
def test_a_lasting_outage_is_reported_at_the_end(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    server = Server(tmp_path)
    server.start()
    ledger, entry = Ledger(tmp_path, "digits"), make_finished()
    recorder = Recorder(ledger, Tracker(server.uri, "digits"), {})
    server.stop()
    ledger.finish(entry)
    recorder.finish(entry)
    with pytest.raises(UserError, match=r"the tracking server is not reachable .*every result is safe in the ledger"):
        recorder.close(patience=1)
