"""The keeper of checkpoints hears only the worker that has a trial now."""

from __future__ import annotations

from pathlib import Path

from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.executors.checkpoints import LedgerCheckpoints

KEY = "0" * 16


def test_a_worker_that_was_taken_for_lost_is_not_heard_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "digits")
    keeper = LedgerCheckpoints(ledger)
    assert keeper.load_resume(KEY, "first") is None
    keeper.save(KEY, "first", b"epoch 1", b"weights 1")
    assert keeper.load_resume(KEY, "second") == b"epoch 1"
    keeper.save(KEY, "second", b"epoch 3", b"weights 3")
    keeper.save(KEY, "first", b"epoch 2", b"weights 2")  # its host was cut off, and is back
    assert ledger.checkpoints.load_resume(KEY) == b"epoch 3"
    assert (ledger.directory / KEY / "best.safetensors").read_bytes() == b"weights 3"
