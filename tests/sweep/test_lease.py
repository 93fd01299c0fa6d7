"""One sweep per suite: a second start reports the holder of the lease, and a dead holder releases it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.params import load_params
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.control.failures import retry
from mtlsweep.sweep.lease import Lease, read_holder
from mtlsweep.trials.state import FinishedTrial

HOLDER = """
import sys, time
from pathlib import Path
from mtlsweep.sweep.lease import Lease
with Lease(Path(sys.argv[1]), "digits"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_start_reports_the_holder(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with (
        pytest.raises(UserError, match=rf"a sweep of suite `digits` is already running: process {holder.pid} on "),
        Lease(tmp_path, "digits"),
    ):
        pytest.fail("two sweeps at once")


def test_retry_looks_only_with_the_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a sweep could finish a trial between the look and its forgetting."""
    (tmp_path / "params.yaml").write_text(
        "{active: [digits], resources: {ledger_root: results}, suites: {digits: {data: {dataset: multidigits}, network: lenet, "
        "training: {epochs: 1, batch_size: 16}, baselines: {learning_rates: [0.1], seeds: [0]}, "
        "sweep: {weightings: [ew], optimizers: [adam], learning_rates: [0.1], seeds: [0]}}}}"
    )
    monkeypatch.chdir(tmp_path)
    looked: list[Ledger] = []

    def look(ledger: Ledger) -> Iterator[FinishedTrial]:
        looked.append(ledger)
        return iter(())

    monkeypatch.setattr(Ledger, "read_all", look)
    params = load_params()
    with (
        Lease(Ledger(params.resources.ledger_root, "digits").directory, "digits"),
        pytest.raises(UserError, match="already running"),
    ):
        retry(params, "digits", [], None)
    assert looked == []


def test_status_sees_the_holder_without_disturbing_it(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    for _ in range(50):
        found = read_holder(tmp_path)
        assert found is not None
        assert found["pid"] == holder.pid


def test_a_holder_that_has_not_written_its_name_yet_is_told_apart_from_none(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "lease.json").write_text("")
    assert read_holder(tmp_path) == {"pid": 0, "host": "?", "since": "?"}
    with pytest.raises(UserError, match=r"already running: process \? on \? since \?"), Lease(tmp_path, "digits"):
        pytest.fail("two sweeps at once")


def test_a_killed_holder_releases_the_lease(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert read_holder(tmp_path) is None
    with Lease(tmp_path, "digits"):
        found = read_holder(tmp_path)
        assert found is not None
        assert found["pid"] == os.getpid()
    assert read_holder(tmp_path) is None


def test_suites_have_leases_of_their_own(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with Lease(tmp_path / "other", "other"):
        assert read_holder(tmp_path / "other") is not None


def test_nothing_was_ever_swept(tmp_path: Path) -> None:
    assert read_holder(tmp_path) is None
