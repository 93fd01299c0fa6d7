"""When a sweep must stop early: on a signal, when the `dvc` that started it ends, or when a budget is used up."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

import psutil

from mtlsweep.params.resources import Budget
from mtlsweep.sweep.device_clock import DeviceClock

SECONDS_BETWEEN_CHECKS = 1.0


class StopRequest:
    """Context manager that turns SIGTERM, SIGINT and the end of `dvc` into a request to stop.

    A killed DVC leaves its stage running, and the next `dvc repro` would start the stage a second time.

    Args:
        budget: limits of one run.
        clock: counts the device-seconds of the run.
    """

    def __init__(self, budget: Budget, clock: DeviceClock) -> None:
        self._budget = budget
        self._clock = clock
        self._began_at = time.monotonic()
        self._started = 0
        self._requested: str | None = None
        self._exited = threading.Event()
        self._previous: dict[int, Any] = {}
        self._parents = [process for process in psutil.Process(os.getpid()).parents() if _is_dvc(process)]

    def reason(self) -> str | None:
        """Return the reason to stop the sweep and its running trials, or None; trials continue from resume points later."""
        return self._requested or self._time_used_up()

    def _time_used_up(self) -> str | None:
        for name, limit, used in (
            ("hours", self._budget.hours, time.monotonic() - self._began_at),
            ("device_hours", self._budget.device_hours, self._clock.seconds()),
        ):
            if limit is not None and used >= 3600 * limit:
                return f"`resources.budget.{name}` ({limit:g}) is used up"
        return None

    def reason_to_start_none(self) -> str | None:
        """Return the reason to start no more trials, or None; running trials may continue."""
        return self.reason() or self.used_up()

    def used_up(self) -> str | None:
        """Return which limit of the budget is reached, or None."""
        if self._budget.trials is not None and self._started >= self._budget.trials:
            return f"`resources.budget.trials` ({self._budget.trials}) is used up"
        return self._time_used_up()

    def count_start(self) -> None:
        """Count a trial that starts."""
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
        self._exited.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._requested = f"it received a stop signal ({signal.Signals(number).name})"

    def _watch_parents(self) -> None:
        while not self._exited.wait(SECONDS_BETWEEN_CHECKS):
            if not all(parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE for parent in self._parents):
                self._requested = "the `dvc` that started it ended"
                return


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(os.path.basename(word) == "dvc" or word == "dvc" for word in process.cmdline()[:4])
    except psutil.Error:
        return False
