"""The only writer to MLflow: a background thread of the driver that may lag, but never delays or fails a trial."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from mtlsweep.errors import UserError, first_line
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker, TrackingError
from mtlsweep.record.mlflow.outage import is_outage
from mtlsweep.record.view import View
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial
from mtlsweep.trials.trial import Trial

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0
"""Maximum seconds between two retries during an outage."""

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
        self._until_written = Retrying(
            retry=retry_if_exception(is_outage),
            wait=wait_exponential(multiplier=0.5, max=LONGEST_PAUSE),
            stop=stop_when_event_set(self._given_up),
            sleep=sleep_using_event(self._given_up),
            before_sleep=self._note_outage,
        )
        self.outage: str | None = None
        """Reason why the server cannot be written now, or None."""
        self._refused: str | None = None
        self._error: Exception | None = None
        self._end_watch: Callable[[], None] = lambda: None
        with suppress(*TrackingError):  # optional; required writes handle an outage
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
            UserError: an outage lasted `patience` seconds, or the server refused a trial; the ledger has everything.
        """
        with suppress(*TrackingError):
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
        if self._error is not None:
            raise self._error
        if self._refused is not None:
            raise UserError(
                f"the tracking server refused {self._refused}; every result is safe in the ledger: "
                "fix the cause and run `dvc repro` again."
            )

    def _work(self) -> None:
        try:
            while (item := self._queue.get()) is not None and not self._given_up.is_set():
                if isinstance(item, str):
                    self._write(self._ledger.read(item))
                else:
                    self._show(*item)
        except Exception as error:  # an internal error must not stop the sweep; `close` raises it
            self._error = error

    def _show(self, *epochs: *_Epochs) -> None:
        """Write epochs of a running trial, without retries: the finished trial writes all its epochs again."""
        try:
            self._tracker.log_epochs(*epochs)
            self.outage = None
        except TrackingError as error:
            if is_outage(error):
                self.outage = first_line(error)

    def _write(self, finished: FinishedTrial) -> None:
        """Write a finished trial; retry during an outage."""
        try:
            self._until_written(self._tracker.finish, finished, self._tags)
        except RetryError:  # `close` stopped the retries
            return
        except TrackingError as error:
            logger.warning("the tracking server refused trial %s: %s", finished.trial.key, first_line(error))
            self._refused = self._refused or f"trial {finished.trial.key} ({first_line(error)})"
        self.outage = None

    def _note_outage(self, state: RetryCallState) -> None:
        self.outage = first_line(state.outcome and state.outcome.exception())
        logger.warning("tracking server not reachable, next try in %.0f s: %s", state.upcoming_sleep, self.outage)
