"""Checkpoints are saved only for the worker that runs the trial now."""

from __future__ import annotations

from pathlib import Path

from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.executors.checkpoints import LedgerCheckpoints

KEY = "0" * 16


def test_a_replaced_worker_cannot_save_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "digits")
    checkpoints = LedgerCheckpoints(ledger)
    assert checkpoints.load_resume(KEY, "first") is None
    checkpoints.save(KEY, "first", b"epoch 1", b"weights 1")
    assert checkpoints.load_resume(KEY, "second") == b"epoch 1"
    checkpoints.save(KEY, "second", b"epoch 3", b"weights 3")
    checkpoints.save(KEY, "first", b"epoch 2", b"weights 2")  # its host was disconnected and is back
    assert ledger.checkpoints.load_resume(KEY) == b"epoch 3"
    assert (ledger.directory / KEY / "best.safetensors").read_bytes() == b"weights 3"
