"""Device-seconds of a run: the time in which trials hold devices, however many devices there are at any moment."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable


class DeviceClock:
    """Sums the time between the starts and the stops of trials; each holds one device, or a share of one.

    It counts what is paid for: also the start of a process, and work that is lost with a host. A trial that waits for a
    device counts nothing. Any thread may call it.

    Args:
        now: returns the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._ended: defaultdict[str, float] = defaultdict(float)
        self._total = 0.0  # of all in `_ended`: a driver asks after every report of a trial
        self._starts = 0.0  # of all in `_since`

    def start(self, key: str) -> None:
        """Start to count for a trial that gets a device; do nothing if it has one."""
        with self._lock:
            if key not in self._since:
                self._since[key] = self._now()
                self._starts += self._since[key]

    def stop(self, key: str) -> None:
        """Stop to count for a trial; do nothing if it has no device."""
        with self._lock:
            if key in self._since:
                since = self._since.pop(key)
                held = self._now() - since
                self._starts -= since
                self._ended[key] += held
                self._total += held

    def seconds_of(self, key: str) -> float:
        """Return the device-seconds of a trial in this run."""
        with self._lock:
            now = self._now()
            return self._ended.get(key, 0.0) + now - self._since.get(key, now)

    def seconds(self) -> float:
        """Return the device-seconds of all trials in this run."""
        with self._lock:
            return self._total + len(self._since) * self._now() - self._starts
