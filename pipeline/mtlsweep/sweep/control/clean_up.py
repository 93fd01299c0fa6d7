"""Open a suite's ledger, and free its disk space."""

from __future__ import annotations

from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.lease import hold_lease


def collect_garbage(params: Params, suite: str) -> int:
    """Delete the resume points of finished trials, including pruned ones; return the bytes freed.

    Raises:
        UserError: a sweep of the suite is running.
    """
    ledger = open_ledger(params, suite)
    with hold_lease(ledger, suite):
        return sum(
            ledger.checkpoints.drop_resume(key) for key in ledger.checkpoints.with_resume() & ledger.finished_keys()
        )


def open_ledger(params: Params, suite: str) -> Ledger:
    """Return the ledger of a suite.

    Raises:
        UserError: unknown suite.
    """
    params.suite(suite)
    return Ledger(params.resources.ledger_root, suite)
