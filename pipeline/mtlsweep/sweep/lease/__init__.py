"""The lease: one sweep per suite at a time, and nobody else writes to its ledger.

In a folder it is a lock of the operating system (`folder`), in an object store an object that is renewed (`objects`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mtlsweep.record.ledger import Ledger
from mtlsweep.record.storage.folder import FolderStorage
from mtlsweep.sweep.lease.fence import Fence
from mtlsweep.sweep.lease.folder import Lease, read_holder

if TYPE_CHECKING:
    from mtlsweep.record.storage.objects import ObjectStorage
    from mtlsweep.sweep.lease.objects import ObjectLease

__all__ = ["Fence", "Lease", "find_holder", "hold_lease", "holder_lives", "read_holder"]


def hold_lease(ledger: Ledger, suite: str) -> Lease | ObjectLease:
    """Return a context manager that holds the lease of a suite's ledger; entering it may raise a `UserError`."""
    if isinstance(ledger.storage, FolderStorage):
        return Lease(ledger.storage.directory, suite)
    from mtlsweep.sweep.lease.objects import ObjectLease  # of an optional package

    return ObjectLease(_objects(ledger), suite)


def find_holder(ledger: Ledger) -> dict[str, Any] | None:
    """Return pid, host and start time of the process that runs the sweep, or None; see `holder_lives`."""
    if isinstance(ledger.storage, FolderStorage):
        return read_holder(ledger.storage.directory)
    from mtlsweep.sweep.lease.objects import read_object_holder

    return read_object_holder(_objects(ledger))


def holder_lives(ledger: Ledger) -> bool:
    """Whether the process that `find_holder` names still runs; in an object store it takes some seconds to see."""
    if isinstance(ledger.storage, FolderStorage):
        return read_holder(ledger.storage.directory) is not None
    from mtlsweep.sweep.lease.objects import is_renewed

    return is_renewed(_objects(ledger))


def _objects(ledger: Ledger) -> ObjectStorage:
    from mtlsweep.record.storage.objects import ObjectStorage

    assert isinstance(ledger.storage, ObjectStorage)
    return ledger.storage
