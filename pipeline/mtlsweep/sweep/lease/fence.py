"""What processes beside the driver ask before they write to the ledger."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Fence(Protocol):
    """Lets processes write to the ledger while the sweep that started them has the lease."""

    def writing(self) -> AbstractContextManager[bool]:
        """Return a context manager for a write: it gives whether the write may begin, and no other sweep disturbs it."""
