"""The recorder may lag behind an outage of MLflow; it loses nothing and repeats nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.trials.state import FinishedTrial
from tests.servers import MlflowServer


@pytest.mark.slow
def test_an_outage_in_the_middle_loses_nothing(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    server = MlflowServer(tmp_path)
    server.start()
    try:
        tracker = Tracker(server.uri, "digits", "ours")
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
        assert all(map(Tracker(server.uri, "digits", "ours").has, entries))
        keys = [entry.trial.key for entry in entries]
        assert len(tracker.history(keys).read(keys)) == 9 * 3 * 4
    finally:
        server.stop()


@pytest.mark.slow
def test_a_lasting_outage_is_reported_at_the_end(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    server = MlflowServer(tmp_path)
    server.start()
    ledger, entry = Ledger(tmp_path, "digits"), make_finished()
    recorder = Recorder(ledger, Tracker(server.uri, "digits", "ours"), {})
    server.stop()
    ledger.finish(entry)
    recorder.finish(entry)
    with pytest.raises(UserError, match=r"the tracking server is not reachable .*every result is safe in the ledger"):
        recorder.close(patience=1)
