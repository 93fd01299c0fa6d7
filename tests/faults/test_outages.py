"""Outages during a sweep: the tracking server is not reachable, or the disk is full."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.forks import Fork

from .conftest import INLINE, TRIALS, Sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def tracking_server(database: Path, port: int) -> Iterator[None]:
    """An MLflow server on loopback; it is killed when the block ends."""
    words = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", *words, "--backend-store-uri", f"sqlite:///{database}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        cwd=database.parent,
    ) as server:
        try:
            _wait_until_it_answers(port)
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, "the tracking server does not come up"
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_results(sweep: Sweep, count: int, driver: Fork) -> None:
    deadline = time.monotonic() + 180
    while len(sweep.results()) < count:
        assert driver.poll() is None, (sweep.root / "stage.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_server_is_down_for_the_middle_third(baselines: Sweep, undisturbed: bytes, tmp_path: Path) -> None:
    port = free_port()
    sweep = baselines.copy(tmp_path / "study", INLINE)
    sweep.uri = f"http://127.0.0.1:{port}"
    database = sweep.root / "server.db"
    begun = len(sweep.results())
    with tracking_server(database, port):
        driver = sweep.start("sweep")
        wait_for_results(sweep, begun + TRIALS // 3, driver)
    wait_for_results(sweep, begun + 2 * TRIALS // 3, driver)  # training continues during the outage
    with tracking_server(database, port):
        assert driver.wait(timeout=240) == 0, (sweep.root / "stage.log").read_text()
        times = sweep.results()
        assert sweep.finish() == undisturbed
        assert sweep.results() == times
        sweep.check_every_trial_once()


def test_a_lasting_outage_is_reported_at_the_end_and_loses_no_training(baselines: Sweep, tmp_path: Path) -> None:
    port = free_port()
    sweep = baselines.copy(tmp_path / "study", INLINE)
    sweep.uri = f"http://127.0.0.1:{port}"
    begun = len(sweep.results())
    with tracking_server(sweep.root / "server.db", port):
        driver = sweep.start("sweep")
        wait_for_results(sweep, begun + 2, driver)
    assert driver.wait(timeout=300) == 2
    said = (sweep.root / "stage.log").read_text()
    assert "the tracking server is not reachable" in said
    assert "Traceback" not in said
    assert len(sweep.results()) == begun + TRIALS


def test_a_full_disk_stops_the_sweep_with_a_sentence_and_loses_nothing(
    baselines: Sweep, undisturbed: bytes, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        sweep = baselines.copy(tmp_path / "study")
        sweep.resources = {"ledger_root": str(small)}
        subprocess.run(["cp", "-r", str(baselines.ledger.parent), str(small)], check=True)
        begun = len(sweep.results())
        filler = small / "filler"
        with sweep.start("sweep") as driver:
            wait_for_results(sweep, begun + 3, driver)
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 4096)
                except OSError:
                    pass
            assert driver.wait(timeout=180) == 2
        said = (sweep.root / "stage.log").read_text()
        assert "No space left on device" in said
        assert "run `dvc repro` again" in said
        assert "Traceback" not in said
        kept = sweep.results()
        assert begun + 3 <= len(kept) < begun + TRIALS
        filler.unlink()
        assert sweep.finish() == undisturbed
        assert {key: when for key, when in sweep.results().items() if key in kept} == kept
        sweep.check_every_trial_once()
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
