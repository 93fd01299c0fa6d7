"""Keep our state out of Tune's snapshots."""

from __future__ import annotations

from typing import Any


class Unsaved:
    """Has no pickled state: a sweep continues from the ledger, never from Tune's own state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
