"""The only writer to MLflow: a background thread of the driver that may lag, but never delays or fails a trial."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import OutageError, RefusalError, Tracker, TrackingError, refusals
from mtlsweep.record.view import View
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial
from mtlsweep.trials.trial import Trial

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two tries during an outage; each pause is twice the one before."""

FAR_BEHIND = 1000
"""Queue length above which epochs of running trials are dropped."""

_Epochs = tuple[Trial, Sequence[EpochRecord], float]


class Recorder(View):
    """Takes epochs and finished trials from the driver and writes them when the server is available.

    Args:
        ledger: has every finished trial already, so the queue needs only keys, even in a long outage.
        tracker: writes to MLflow.
        tags: tags of every finished run, such as the sweep id.
    """

    def __init__(self, ledger: Ledger, tracker: Tracker, tags: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._tracker = tracker
        self._tags = tags
        self._queue: queue.SimpleQueue[_Epochs | str | None] = queue.SimpleQueue()
        """Epochs, the key of a finished trial, or None at the end."""
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._given_up = threading.Event()
        self.outage: str | None = None
        """Reason why the server cannot be written now, or None."""
        self.error: Exception | None = None
        self._refused: dict[str, str] = {}
        """Keys of trials that the server refused, each with its reason."""
        self._doubtful: list[str] = []
        """Keys of trials that failed while others were written."""
        self._end_watch: Callable[[], None] = lambda: None
        with suppress(TrackingError):  # optional; required writes handle an outage
            self._end_watch = tracker.watch_machine()
        self._thread.start()

    def epochs(self, trial: Trial, records: Sequence[EpochRecord], started_at: float) -> None:
        """Queue epochs of a running trial; drop them during an outage or when the queue is long."""
        if self.outage is None and self._queue.qsize() < FAR_BEHIND:
            self._queue.put((trial, records, started_at))

    def finish(self, record: FinishedTrial) -> None:
        """Queue a finished trial, which the ledger already has."""
        self._queue.put(record.trial.key)

    def close(self, patience: float = 60.0) -> None:
        """Wait until everything is written.

        Raises:
            UserError: an outage lasted `patience` seconds, or the server refused trials; the ledger has everything.
        """
        with suppress(TrackingError):
            self._end_watch()
        self._queue.put(None)
        deadline = time.monotonic() + patience
        while self._thread.is_alive():
            self._thread.join(0.2)
            if self.outage is None:
                deadline = time.monotonic() + patience
            elif time.monotonic() > deadline:
                self._given_up.set()
                raise UserError(
                    f"the tracking server is not reachable ({self.outage}); every result is safe in the ledger: "
                    "start the server and run `dvc repro` again."
                )
        if self.error is not None:
            raise self.error
        if self._refused:
            raise UserError(f"{refusals(self._refused)}: fix the cause and run `dvc repro` again.")

    def _work(self) -> None:
        try:
            while (item := self._queue.get()) is not None and not self._given_up.is_set():
                if isinstance(item, str):
                    self._write(item)
                else:
                    self._show(*item)
            for key in self._doubtful:
                self._write(key, last=True)
        except Exception as error:  # a mistake of ours: the driver looks at it, and stops the sweep
            self.error = error

    def _show(self, *epochs: *_Epochs) -> None:
        """Write epochs of a running trial, without retries: the finished trial writes all its epochs again."""
        try:
            self._tracker.log_epochs(*epochs)
            self.outage = None
        except OutageError as error:
            self.outage = error.reason
        except RefusalError:
            pass

    def _write(self, key: str, last: bool = False) -> None:
        """Write a finished trial: wait while the server is down, and go on without the trial if only it is not taken.

        Args:
            key: of the trial.
            last: whether a trial that is not taken counts as refused; else it is tried once more at the end.
        """
        finished, pause, worked = self._ledger.read(key), FIRST_PAUSE, False
        while not self._given_up.is_set():
            try:
                self._tracker.finish(finished, self._tags)
            except RefusalError as error:
                self._refuse(key, error)
            except OutageError as error:
                worked_before, worked = worked, self._tracker.can_write()
                if not (worked_before and worked):
                    self.outage = error.reason
                    logger.warning("tracking server cannot be used, next try in %g s: %s", pause, error.reason)
                    self._given_up.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                    continue
                # It failed between two writes that worked, so this is about the trial, whatever the error says.
                if last:
                    self._refuse(key, error)
                else:
                    self._doubtful.append(key)
            self.outage = None
            return

    def _refuse(self, key: str, error: TrackingError) -> None:
        logger.warning("the tracking server refused trial %s: %s", key, error.reason)
        self._refused[key] = error.reason
