"""SIGKILL of the driver, again and again, in every phase of a sweep: nothing is lost and nothing is trained twice."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.forks import Fork

from .conftest import INLINE, TRIALS, Sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

KILLS_OF_EACH_PHASE = 4


def wait_for(condition: Callable[[], bool], process: Fork, seconds: float = 120) -> None:
    """Wait until the condition holds or the process ends."""
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "the sweep neither got there nor ended"
        time.sleep(0.01)


def ray_processes(session: int) -> list[psutil.Process]:
    """Return the processes of a dead driver that could still train or write."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            of_session = os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
            if of_session and any(
                name in command for name in ("raylet/raylet", "ray::ImplicitFunc", "ray::LedgerCheckpoints")
            ):
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def test_twenty_kills_of_the_driver_in_every_phase(baselines: Sweep, undisturbed: bytes, tmp_path: Path) -> None:
    sweep = baselines.copy(tmp_path / "study")
    moments = random.Random(20)
    database = sweep.root / "mlflow.db"

    def a_new_result(before: int) -> Callable[[], bool]:
        return lambda: len(sweep.results()) > before

    def planning(before: int) -> Callable[[], bool]:
        return lambda: True

    def creating_the_database(before: int) -> Callable[[], bool]:
        database.unlink(missing_ok=True)  # a view: it is made again from the ledger
        return lambda: any(sweep.root.glob(".mlflow.db.*.new"))

    def running(before: int) -> Callable[[], bool]:
        marks = {path: path.stat().st_mtime_ns for path in sweep.ledger.glob("*/resume.pt")}
        return lambda: any(path.stat().st_mtime_ns != marks.get(path) for path in _existing(sweep.ledger, "resume.pt"))

    # The longest a kill waits after its phase was seen, in seconds; and where trials are trained.
    phases: list[tuple[Callable[[int], Callable[[], bool]], float, tuple[dict[str, Any], ...]]] = [
        (planning, 1.5, ({},)),
        (creating_the_database, 3.0, ({},)),
        (running, 0.5, ({}, INLINE)),
        (a_new_result, 0.05, ({}, INLINE)),  # recording: MLflow is written just after the ledger
    ]
    kills = [
        (phase, longest, executors[number % len(executors)])
        for phase, longest, executors in phases
        for number in range(KILLS_OF_EACH_PHASE)
    ]
    moments.shuffle(kills)
    seen = sweep.results()
    for phase, longest, sweep.resources in kills:  # the next run starts at once, while workers of the last still live
        condition = phase(len(seen))
        with sweep.start("sweep") as driver:
            wait_for(condition, driver)
            time.sleep(moments.uniform(0, longest))
            driver.kill()
        times = sweep.results()
        assert {key: times[key] for key in seen} == seen, "a finished trial was trained again"
        seen = times
    sweep.resources = {}
    assert sweep.run("sweep").returncode == 0
    seen = sweep.results()
    for _ in range(KILLS_OF_EACH_PHASE):  # writing tables, which is all that is left to do
        for table in sweep.tables.glob("*"):
            table.unlink()
        with sweep.start("sweep") as driver:
            wait_for(lambda: any(sweep.tables.glob("*")), driver)
            time.sleep(moments.uniform(0, 0.02))
            driver.kill()
    assert sweep.finish() == undisturbed
    assert {key: when for key, when in sweep.results().items() if key in seen} == seen
    sweep.check_every_trial_once()


def test_a_killed_raylet_costs_no_more_than_the_run(baselines: Sweep, undisturbed: bytes, tmp_path: Path) -> None:
    """Without its raylet a local Ray is gone and Ray ends the stage; no trial fails, and the next run continues."""
    sweep = baselines.copy(tmp_path / "study")
    begun = len(sweep.results())
    with sweep.start("sweep") as driver:
        wait_for(lambda: len(sweep.results()) >= begun + 2, driver)
        for process in ray_processes(driver.pid):
            with suppress(psutil.NoSuchProcess):  # a worker that has just ended
                if "raylet/raylet" in " ".join(process.cmdline()):
                    process.kill()
        assert driver.wait(timeout=300) != 0
    wait_for_silence(driver.pid)
    kept = sweep.results()
    assert begun + 2 <= len(kept) < begun + TRIALS
    assert sweep.finish() == undisturbed
    assert {key: when for key, when in sweep.results().items() if key in kept} == kept
    sweep.check_every_trial_once()


def wait_for_silence(session: int) -> None:
    deadline = time.monotonic() + 120
    while ray_processes(session):
        assert time.monotonic() < deadline, "the sweep outlived its driver"
        time.sleep(0.1)


def _existing(ledger: Path, name: str) -> list[Path]:
    found = []
    for path in ledger.glob(f"*/{name}"):
        try:
            path.stat()
        except FileNotFoundError:
            continue
        found.append(path)
    return found
