"""`mtlsweep stop`: a sweep of this host is asked to end; of any other one it says what to do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.params import load_params
from mtlsweep.sweep.control import stop as control
from mtlsweep.sweep.control.stop import stop
from tests.small_study import call, small_study, write

LEASE = Path("results/digits/ledger/lease.json")

HOLDER = """
import fcntl, json, os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_DFL if sys.argv[2] == "ends" else signal.SIG_IGN)
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
content = json.loads(sys.argv[3])
file.write(json.dumps({"pid": os.getpid(), **content}) if content else "")
file.flush()
print("held", flush=True)
time.sleep(60)
"""
"""A process that holds a lease as a sweep does; on SIGTERM it `ends` or `stays`."""

HERE = {"host": socket.gethostname(), "since": "now", "token": "t"}


@contextmanager
def holding(content: Mapping[str, object], on_sigterm: str = "ends") -> Iterator[int]:
    """Run a process that holds the lease with this content; yield its id."""
    LEASE.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-S", "-c", HOLDER, str(LEASE), on_sigterm, json.dumps(content)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def _study(in_directory: Path) -> None:
    write(small_study())


def test_without_a_sweep_there_is_nothing_to_stop() -> None:
    assert call("stop") == (0, "digits: no sweep is running")
    code, output = call("stop", "digits", "--json")
    assert (code, json.loads(output)) == (0, ["digits: no sweep is running"])


def test_a_sweep_of_this_host_ends_and_its_end_is_waited_for() -> None:
    with holding(HERE):
        assert call("stop") == (0, "digits: the sweep has ended; `dvc repro` continues where it stopped")


def test_a_sweep_that_does_not_end_is_named_with_the_command_that_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SECONDS_TO_STOP", 0.01)
    with (
        holding(HERE, on_sigterm="stays") as pid,
        pytest.raises(UserError, match=rf"digits: process {pid} did not end within 0 s; end it with `kill -9 {pid}`\."),
    ):
        stop(load_params(), "digits")


def test_a_sweep_of_another_host_is_left_alone() -> None:
    with holding({**HERE, "host": "gpu-7"}) as pid:
        code, output = call("stop")
    assert (code, f"the sweep runs as process {pid} on gpu-7; run `mtlsweep stop` on that host." in output) == (2, True)


def test_a_sweep_that_has_not_said_who_it_is_yet_is_to_be_stopped_again() -> None:
    with holding({}), pytest.raises(UserError, match="a sweep is starting this moment; run `mtlsweep stop` again"):
        stop(load_params(), "digits")
