"""What people do with a ledger: look at failures, try trials again, run one alone, stop a sweep, free disk."""

from __future__ import annotations

from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.lease import Lease


def collect_garbage(params: Params, suite: str) -> int:
    """Drop the resume points of trials that ended, pruned ones included; return the bytes freed.

    Raises:
        UserError: a sweep of the suite is running.
    """
    ledger = open_ledger(params, suite)
    with Lease(ledger.directory, suite):
        return sum(ledger.checkpoints.drop_resume(key) for key in ledger.finished_keys())


def open_ledger(params: Params, suite: str) -> Ledger:
    """Return the ledger of a suite.

    Raises:
        UserError: unknown suite.
    """
    params.suite(suite)
    return Ledger(params.resources.ledger_root, suite)
