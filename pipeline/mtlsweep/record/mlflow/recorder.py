"""The one writer of MLflow: a thread beside the driver that may lag, but never slows or fails a trial."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker, TrackingOutage
from mtlsweep.trials.state import EpochRecord, FinishedTrial
from mtlsweep.trials.trial import Trial

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0
"""Seconds between two tries while the server is away."""

FAR_BEHIND = 1000
"""Waiting items above which epochs of running trials are dropped."""

_Epochs = tuple[Trial, Sequence[EpochRecord], float]


class Recorder:
    """Takes epochs and finished trials from the driver and writes them when the server lets it.

    Args:
        ledger: has every finished trial already, so that only keys have to wait, however long the outage.
        tracker: where to write.
        tags: tags of every finished run, such as the sweep's id.
    """

    def __init__(self, ledger: Ledger, tracker: Tracker, tags: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._tracker = tracker
        self._tags = tags
        self._queue: queue.SimpleQueue[_Epochs | str | None] = queue.SimpleQueue()
        """Some epochs, the key of a finished trial, or the end."""
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._given_up = threading.Event()
        self._outage: str | None = None
        self._error: Exception | None = None
        self._end_watch: Callable[[], None] = lambda: None
        with suppress(*TrackingOutage):  # nice to have: an outage is met again by what must be written
            self._end_watch = tracker.watch_machine()
        self._thread.start()

    @property
    def outage(self) -> str | None:
        """Why nothing can be written now, or None."""
        return self._outage

    def epochs(self, trial: Trial, records: Sequence[EpochRecord], started_at: float) -> None:
        """Take some epochs of a running trial; they are dropped while the server is away, or far behind."""
        if self._outage is None and self._queue.qsize() < FAR_BEHIND:
            self._queue.put((trial, records, started_at))

    def finish(self, finished: FinishedTrial) -> None:
        """Take a trial that the ledger has."""
        self._queue.put(finished.trial.key)

    def close(self, patience: float = 60.0) -> None:
        """Wait until all is written.

        Raises:
            UserError: the server stayed away for `patience` seconds; the ledger has everything.
        """
        with suppress(*TrackingOutage):
            self._end_watch()
        self._queue.put(None)
        deadline = time.monotonic() + patience
        while self._thread.is_alive():
            self._thread.join(0.2)
            if self._outage is None:
                deadline = time.monotonic() + patience
            elif time.monotonic() > deadline:
                self._given_up.set()
                raise UserError(
                    f"the tracking server is away ({self._outage}); every result is safe in the ledger: "
                    "start the server and run `dvc repro` again, no trial will be trained twice."
                )
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (item := self._queue.get()) is not None and not self._given_up.is_set():
                self._write(self._ledger.read(item) if isinstance(item, str) else item)
        except Exception as error:  # a fault of ours: said when the sweep ends, which it must not hinder
            self._error = error

    def _write(self, item: _Epochs | FinishedTrial) -> None:
        pause = 0.5
        while True:
            try:
                if isinstance(item, FinishedTrial):
                    self._tracker.finish(item, self._tags)
                else:
                    self._tracker.log_epochs(*item)
                self._outage = None
                return
            except TrackingOutage as error:
                self._outage = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
                logger.warning("tracking server away, trying again in %.0f s: %s", pause, self._outage)
                if not isinstance(item, FinishedTrial):
                    return  # the finished trial brings all its epochs again
                if self._given_up.wait(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
