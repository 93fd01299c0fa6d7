"""Kills, two starters and an outage of the server: no result is lost, and none is made twice."""

from __future__ import annotations

import random
import time
from pathlib import Path

import obstore
import pytest

from mtlsweep.addresses import StoreUri
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.storage.objects import ObjectStorage
from tests.forks import Fork
from tests.object_server import Line
from tests.objects.noop_sweep import SUITE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLS = 20


def start(root: StoreUri, log: Path, trials: int, seconds: float, gone: float) -> Fork:
    words = ("tests.objects.noop_sweep", str(root), str(trials), str(seconds), str(gone))
    return Fork(words, log.parent, log, log)


def results(root: StoreUri) -> dict[str, object]:
    """Return when each result was written, by the server's clock."""
    storage = Ledger(root, SUITE).storage
    assert isinstance(storage, ObjectStorage)
    listed = [found for page in obstore.list(storage.server._store) for found in page]
    return {one["path"].split("/")[0]: one["last_modified"] for one in listed if one["path"].endswith("/result.json")}


def finished(log: Path) -> list[str]:
    return [line.split()[1] for line in log.read_text().splitlines() if line.startswith("finished ")]


def check_whole(root: StoreUri, trials: int) -> None:
    records = list(Ledger(root, SUITE).read_all())
    assert len(records) == trials
    assert all(len(tuple(one.state.curve)) == 2 for one in records)


def test_twenty_kills(root: StoreUri, tmp_path: Path) -> None:
    trials, moments, seen = 40, random.Random(20), dict[str, object]()
    for kill in range(KILLS):
        log = tmp_path / f"kill-{kill}.log"
        with start(root, log, trials, 0.02, gone=0.5) as sweep:
            before, deadline = len(seen), time.monotonic() + 60
            while not (log.exists() and "held" in log.read_text()) and sweep.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            while len(finished(log)) <= kill % 3 and sweep.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.1))
            sweep.kill()
        written = results(root)
        assert {key: written[key] for key in seen} == seen, "a finished trial was written again"
        assert before <= len(written)
        seen = written
    with start(root, tmp_path / "last.log", trials, 0.0, gone=0.5) as sweep:
        assert sweep.wait(timeout=120) == 0, (tmp_path / "last.log").read_text()
    assert {key: when for key, when in results(root).items() if key in seen} == seen
    assert not seen.keys() & set(finished(tmp_path / "last.log"))
    check_whole(root, trials)


def test_two_starters_at_once(root: StoreUri, tmp_path: Path) -> None:
    logs = [tmp_path / "one.log", tmp_path / "other.log"]
    sweeps = [start(root, log, 15, 0.1, gone=5.0) for log in logs]
    codes = [sweep.wait(timeout=120) for sweep in sweeps]
    assert sorted(codes) == [0, 2], [log.read_text() for log in logs]
    refused = logs[codes.index(2)].read_text()
    assert "a sweep of suite `digits` is already running: process" in refused
    assert finished(logs[codes.index(2)]) == []
    done = finished(logs[codes.index(0)])
    assert len(done) == len(set(done)) == 15
    check_whole(root, 15)


def test_a_server_away_for_the_middle_third(root: StoreUri, line: Line, tmp_path: Path) -> None:
    log = tmp_path / "sweep.log"
    with start(root, log, 15, 0.1, gone=2.0) as sweep:
        deadline = time.monotonic() + 60
        while not (log.exists() and len(finished(log)) >= 5):
            assert time.monotonic() < deadline and sweep.poll() is None, log.read_text()
            time.sleep(0.02)
        line.cut()
        before = finished(log)
        time.sleep(2.5)  # longer than a silent holder of a lease lives here
        assert len(finished(log)) <= len(before) + 1
        line.mend()
        assert sweep.wait(timeout=120) == 0, log.read_text()
    assert "does not answer, next try in" in log.read_text()
    assert "answers again, after" in log.read_text()
    done = finished(log)
    assert len(done) == len(set(done)) == 15
    check_whole(root, 15)
