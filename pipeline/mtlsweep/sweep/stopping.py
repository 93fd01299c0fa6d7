"""When a sweep shall end early: a signal, the death of the `dvc` that started it, or a budget used up."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

import psutil

from mtlsweep.params.resources import Budget

SECONDS_BETWEEN_LOOKS = 1.0


class StopRequest:
    """Context manager that turns SIGTERM, SIGINT and a dead `dvc` into a request to stop.

    DVC killed leaves its stage running, and the next `dvc repro` would start a second one beside it.

    Args:
        budget: what one run may use.
        slots: trials at once.
    """

    def __init__(self, budget: Budget, slots: int) -> None:
        self._budget = budget
        self._slots = slots
        self._begun = time.monotonic()
        self._started = 0
        self._asked: str | None = None
        self._left = threading.Event()
        self._previous: dict[int, Any] = {}
        self._parents = [process for process in psutil.Process(os.getpid()).parents() if _is_dvc(process)]

    def reason(self) -> str | None:
        """Return why the sweep shall end, running trials included (those continue from their resume points later), or None."""
        if self._asked is not None:
            return self._asked
        hours = (time.monotonic() - self._begun) / 3600
        for name, limit, used in (
            ("hours", self._budget.hours, hours),
            ("device_hours", self._budget.device_hours, hours * self._slots),
        ):
            if limit is not None and used >= limit:
                return f"`resources.budget.{name}` ({limit:g}) is used up"
        return None

    def reason_to_start_no_more(self) -> str | None:
        """Return why no further trial may start, or None; what runs may then still end by itself."""
        if self._budget.trials is not None and self._started >= self._budget.trials:
            return self.reason() or f"`resources.budget.trials` ({self._budget.trials}) is used up"
        return self.reason()

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
        self._asked = f"it was asked to stop ({signal.Signals(number).name})"

    def _watch_parents(self) -> None:
        while not self._left.wait(SECONDS_BETWEEN_LOOKS):
            if not all(parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE for parent in self._parents):
                self._asked = "the `dvc` that started it ended"
                return


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(os.path.basename(word) == "dvc" or word == "dvc" for word in process.cmdline()[:4])
    except psutil.Error:
        return False
