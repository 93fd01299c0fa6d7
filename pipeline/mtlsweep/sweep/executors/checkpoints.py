"""Resume points and best weights, from the process that trains to the ledger."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mtlsweep.record.ledger import Ledger

if TYPE_CHECKING:  # the actor that writes checkpoints starts beside the workers and need not wait for torch
    from mtlsweep.training.trial import EpochEnd


class Unwritable(Exception):  # noqa: N818  (named for what it says)
    """Checkpoints cannot be written: the sweep stops, for no later result could be written either."""


class CheckpointStore(Protocol):
    """Where checkpoints go; on a cluster another process on another host."""

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return the point from which a trial continues, or None; from now on `holder` alone may save it."""

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Keep best weights and resume point of a trial; may return before they are written."""

    def wait(self) -> None:
        """Return once everything is written.

        Raises:
            Unwritable: it cannot be written; `save` may raise it, too.
        """


class LedgerCheckpoints:
    """Writes checkpoints into the ledger, on the driver's own host."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._holders: dict[str, str] = {}

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return the point from which a trial continues, or None; from now on `holder` alone may save it."""
        self._holders[key] = holder
        return self.ledger.checkpoints.load_resume(key)

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Keep a trial's best weights first, then its resume point, which counts on them.

        A worker whose host was cut off may come back with what is old by now; it is not heard.
        """
        if self._holders.get(key) != holder:
            return
        try:
            if best is not None:
                self.ledger.checkpoints.save_best(key, best)
            if resume is not None:
                self.ledger.checkpoints.save_resume(key, resume)
        except OSError as error:
            raise Unwritable(error.strerror or str(error)) from error

    def wait(self) -> None:
        """Everything is written when `save` returns."""

    def note_hang(self, key: str) -> None:
        """Remember that a trial took longer than it may."""
        self.ledger.checkpoints.note_hang(key)


class NoCheckpoints:
    """Keeps nothing: a trial starts afresh and leaves nothing behind."""

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """There is no resume point."""
        return None

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Keep nothing."""

    def wait(self) -> None:
        """Nothing is ever pending."""


@dataclass
class TrialCheckpoints:
    """Saves best weights and resume points of one trial: where it pauses, else not more often than asked."""

    store: CheckpointStore
    key: str
    until: int
    seconds_between: float
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    best: bytes | None = None
    saved_at: float = field(default_factory=time.monotonic)

    def load(self) -> bytes | None:
        """Return the point from which the trial continues, or None."""
        return self.store.load_resume(self.key, self.holder)

    def epoch(self, end: EpochEnd) -> None:
        """Take the end of an epoch."""
        if end.is_best:
            self.best = end.weights()
        if end.record.epoch == self.until or time.monotonic() - self.saved_at >= self.seconds_between:
            self._save(end.resume_point())

    def end(self) -> None:
        """Save the last best weights, and wait until everything is written."""
        self._save(None)
        self.store.wait()

    def _save(self, resume: bytes | None) -> None:
        self.store.save(self.key, self.holder, resume, self.best)
        self.best = None
        self.saved_at = time.monotonic()
