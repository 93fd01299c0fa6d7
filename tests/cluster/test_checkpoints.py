"""Checkpoints are saved only for the worker that runs the trial now, and only by the sweep that has the lease."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints, TrialCheckpoints
from mtlsweep.sweep.lease import Lease
from mtlsweep.training.trial import EpochEnd
from mtlsweep.trials.curve import EpochRecord

KEY = "0" * 16

TAKE_THE_LEASE = """
import sys
from pathlib import Path
from mtlsweep.sweep.lease import Lease
sys.stdin.readline()
print("trying", flush=True)
with Lease(Path(sys.argv[1]), "digits"):
    print("held", flush=True)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, "digits")


def test_a_replaced_worker_cannot_save_again(ledger: Ledger) -> None:
    with Lease(ledger.directory, "digits") as lease:
        checkpoints = LedgerCheckpoints(ledger, lease.fence)
        assert checkpoints.load_resume(KEY, "first") is None
        checkpoints.save(KEY, "first", b"epoch 1", b"weights 1")
        assert checkpoints.load_resume(KEY, "second") == b"epoch 1"
        checkpoints.save(KEY, "second", b"epoch 3", b"weights 3")
        checkpoints.save(KEY, "first", b"epoch 2", b"weights 2")  # its host was disconnected and is back
    assert ledger.checkpoints.load_resume(KEY) == b"epoch 3"
    assert (ledger.directory / KEY / "best.safetensors").read_bytes() == b"weights 3"


def test_a_process_that_outlives_its_sweep_writes_nothing_over_the_next_one(ledger: Ledger) -> None:
    with Lease(ledger.directory, "digits") as lease:
        old = LedgerCheckpoints(ledger, lease.fence)
        old.load_resume(KEY, "old worker")
        old.save(KEY, "old worker", b"epoch 1", b"weights 1")
    old.save(KEY, "old worker", b"epoch 2", b"weights 2")
    assert ledger.checkpoints.load_resume(KEY) == b"epoch 1"
    with Lease(ledger.directory, "digits") as lease:
        new = LedgerCheckpoints(ledger, lease.fence)
        new.load_resume(KEY, "new worker")
        new.save(KEY, "new worker", b"epoch 3", b"weights 3")
        old.save(KEY, "old worker", b"epoch 2", b"weights 2")
        old.mark_hung(KEY)
    assert ledger.checkpoints.load_resume(KEY) == b"epoch 3"
    assert (ledger.directory / KEY / "best.safetensors").read_bytes() == b"weights 3"
    assert not ledger.checkpoints.has_hung(KEY)


def test_a_lease_waits_until_a_write_of_the_sweep_before_is_finished(ledger: Ledger) -> None:
    with Lease(ledger.directory, "digits") as lease:
        fence = lease.fence
    command = [sys.executable, "-c", TAKE_THE_LEASE, str(ledger.directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with fence.writing():
            process.stdin.write(b"go\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"trying\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1)
        assert process.stdout.readline() == b"held\n"


def test_a_trial_that_starts_again_has_not_hung(ledger: Ledger) -> None:
    with Lease(ledger.directory, "digits") as lease:
        checkpoints = LedgerCheckpoints(ledger, lease.fence)
        checkpoints.load_resume(KEY, "first")
        checkpoints.mark_hung(KEY)
        assert ledger.checkpoints.has_hung(KEY)
        checkpoints.load_resume(KEY, "second")
        assert not ledger.checkpoints.has_hung(KEY)


@pytest.mark.parametrize(("until", "resume_points"), [(2, [2]), (3, []), (4, [])])
def test_a_resume_point_is_saved_at_a_pause_and_never_at_the_last_epoch(until: int, resume_points: list[int]) -> None:
    saved: list[bytes | None] = []

    class Store:
        def load_resume(self, key: str, holder: str) -> bytes | None:
            return None

        def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
            saved.append(resume)

        def wait(self) -> None: ...

    checkpoints = TrialCheckpoints(Store(), KEY, until, epochs=3, seconds_between=3600)
    for epoch in range(1, min(until, 3) + 1):
        record = EpochRecord(epoch, {}, 0.0, 1.0)
        checkpoints.epoch(EpochEnd(record, True, lambda: b"weights", partial(b"%d".__mod__, epoch)))
    checkpoints.end()
    assert [int(one) for one in saved if one is not None] == resume_points
