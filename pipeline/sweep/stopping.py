"""When a sweep shall end early: a signal, the death of the `dvc` that started it, or a budget used up."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import psutil
from ray.tune import Stopper

from pipeline.params import Budget
from pipeline.sweep.unsaved import Unsaved

SECONDS_BETWEEN_LOOKS = 1.0


class StopRequest:
    """Context manager that turns SIGTERM, SIGINT and a dead `dvc` into a request to stop.

    DVC killed leaves its stage running, and the next `dvc repro` would start a second one beside it.

    Args:
        budget: what one run may use.
        slots: trials at once.
        in_trouble: says that nothing can be recorded any more.
    """

    def __init__(self, budget: Budget, slots: int, in_trouble: Callable[[], bool]) -> None:
        self._budget = budget
        self._in_trouble = in_trouble
        self._slots = slots
        self._begun = time.monotonic()
        self._started = 0
        self._requested = threading.Event()
        self._left = threading.Event()
        self._previous: dict[int, Any] = {}
        self._parents = [process for process in psutil.Process(os.getpid()).parents() if _is_dvc(process)]

    def requested(self) -> bool:
        """Whether the sweep shall end, running trials included; those go on from their resume points."""
        hours = (time.monotonic() - self._begun) / 3600
        limits = ((self._budget.hours, hours), (self._budget.device_hours, hours * self._slots))
        return (
            self._requested.is_set()
            or self._in_trouble()
            or any(limit is not None and used >= limit for limit, used in limits)
        )

    def may_start(self) -> bool:
        """Whether one more trial may start."""
        return not self.requested() and (self._budget.trials is None or self._started < self._budget.trials)

    def count_start(self) -> None:
        """Take note of a trial that starts."""
        self._started += 1

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._on_signal)
        if self._parents:
            threading.Thread(target=self._watch_parents, name="parent-watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._requested.set()

    def _watch_parents(self) -> None:
        while not self._left.wait(SECONDS_BETWEEN_LOOKS):
            if not all(parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE for parent in self._parents):
                self._requested.set()
                return


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(os.path.basename(word) == "dvc" or word == "dvc" for word in process.cmdline()[:4])
    except psutil.Error:
        return False


class TuneStopper(Unsaved, Stopper):
    """Ends all running Tune trials once a stop is requested; their resume points stay."""

    def __init__(self, request: StopRequest) -> None:
        self._request = request

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._request.requested()

    def stop_all(self) -> bool:
        """Whether the whole sweep shall end."""
        return self._request.requested()
