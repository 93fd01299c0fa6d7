"""Where the files of a ledger are: a folder, or an S3-compatible object store, behind one interface.

What the files mean is the ledger's business. Nothing but this room asks an object store.
"""

from __future__ import annotations

from pathlib import Path

from mtlsweep.addresses import StoreUri
from mtlsweep.record.storage.folder import FolderStorage
from mtlsweep.record.storage.storage import Storage, StoreError

__all__ = ["Storage", "StoreError", "open_storage"]


def open_storage(root: Path | StoreUri, suite: str) -> Storage:
    """Return the storage of a suite's ledger; nothing is asked or made yet.

    Raises:
        UserError: the package for object stores is not installed.
    """
    if isinstance(root, StoreUri):
        from mtlsweep.record.storage.objects import ObjectStorage  # of an optional package

        return ObjectStorage(root / suite / "ledger")
    return FolderStorage(root.absolute() / suite / "ledger")  # absolute: some writers use another working directory
