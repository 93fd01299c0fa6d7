"""Tune's events, handed to the driver."""

from __future__ import annotations

from typing import Any

from ray.tune import Stopper

from mtlsweep.sweep.executors.ray.unsaved import Unsaved
from mtlsweep.sweep.stopping import StopRequest


class TuneStopper(Unsaved, Stopper):
    """Ends all running Tune trials once a stop is requested; their resume points stay."""

    def __init__(self, request: StopRequest) -> None:
        self._request = request

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._request.reason() is not None

    def stop_all(self) -> bool:
        """Whether the whole sweep shall end."""
        return self._request.reason() is not None
