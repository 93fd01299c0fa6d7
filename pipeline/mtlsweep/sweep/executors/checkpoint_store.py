"""Save resume points and best weights from the training process to the ledger."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mtlsweep.errors import first_line
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.lease import Fence

if TYPE_CHECKING:  # the checkpoint actor starts faster without torch
    from mtlsweep.training.trial import EpochEnd


class CheckpointWriteError(Exception):
    """Checkpoints cannot be written; the sweep stops because later results could not be written either."""


class CheckpointStore(Protocol):
    """Stores checkpoints; on a cluster it is another process on another host."""

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return the resume point of a trial, or None; from now on only `holder` may save checkpoints."""

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Save best weights and resume point of a trial; may return before they are written."""

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            CheckpointWriteError: writing failed; `save` may also raise it.
        """


class LedgerCheckpoints:
    """Writes checkpoints into the ledger, on the driver's own host.

    Args:
        ledger: of the suite.
        fence: of the sweep; a process that outlives its driver writes nothing once another sweep has the lease.
    """

    def __init__(self, ledger: Ledger, fence: Fence) -> None:
        self.ledger = ledger
        self._fence = fence
        self._holders: dict[str, str] = {}
        self._hosts: dict[str, str] = {}

    def began(self, key: str, host: str) -> None:
        """Note on which host a trial starts."""
        self._hosts[key] = host

    def take_host(self, key: str) -> str | None:
        """Return the id of the host on which a trial started last, once; None if it is unknown."""
        return self._hosts.pop(key, None)

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return the resume point of a trial, or None; from now on only `holder` may save checkpoints."""
        self._holders[key] = holder
        with self._fence.writing() as allowed:
            if allowed:
                self.ledger.checkpoints.forget_hung(key)
        return self.ledger.checkpoints.load_resume(key)

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Save best weights first, then the resume point, which depends on them.

        Ignore a worker that another one has replaced: its host lost the connection and its data is old.
        """
        if self._holders.get(key) != holder:
            return
        try:
            with self._fence.writing() as allowed:
                if not allowed:
                    return
                if best is not None:
                    self.ledger.checkpoints.save_best(key, best)
                if resume is not None:
                    self.ledger.checkpoints.save_resume(key, resume)
        except OSError as error:
            raise CheckpointWriteError(error.strerror or first_line(error)) from error

    def wait(self) -> None:
        """Do nothing: everything is written when `save` returns."""

    def mark_hung(self, key: str) -> None:
        """Record that a trial exceeded its time limit."""
        with self._fence.writing() as allowed:
            if allowed:
                self.ledger.checkpoints.mark_hung(key)


class NoCheckpoints:
    """Saves nothing: a trial always starts from the first epoch."""

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return None: there is no resume point."""
        return None

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Do nothing."""

    def wait(self) -> None:
        """Do nothing: there are no pending writes."""


@dataclass
class TrialCheckpoints:
    """Saves best weights and resume points of one trial: when it pauses, and at most every `seconds_between`.

    After the last of its `epochs` a trial needs no resume point.
    """

    store: CheckpointStore
    key: str
    until: int
    epochs: int
    seconds_between: float
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    best: bytes | None = None
    saved_at: float = field(default_factory=time.monotonic)

    def load(self) -> bytes | None:
        """Return the resume point of the trial, or None."""
        return self.store.load_resume(self.key, self.holder)

    def epoch(self, end: EpochEnd) -> None:
        """Save checkpoints at the end of an epoch, if due."""
        if end.is_best:
            self.best = end.weights()
        if end.record.epoch == self.epochs:
            return
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
