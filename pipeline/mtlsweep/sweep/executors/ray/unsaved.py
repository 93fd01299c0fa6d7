"""What keeps our state out of Tune's snapshots."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback as Callback
from ray.tune.experiment import Trial as TuneTrial

__all__ = ["Callback", "TuneTrial", "Unsaved"]


class Unsaved:
    """Pickles as nothing: a sweep goes on from the ledger, never from Tune's own state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
