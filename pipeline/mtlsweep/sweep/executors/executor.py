"""The seam between a sweep and where its trials run.

The driver decides and writes (`Work`), an executor trains (`Executor`); neither knows more of the
other than this. There are three: on Ray, in this process, and a replay of recorded curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.state import EpochRecord, State


class Work(Protocol):
    """The driver's side; an executor calls it from one thread."""

    def next(self) -> Assignment | None:
        """Return what to start now. None: ask again after the next `ended`; with nothing running, the work is over."""

    def stopping(self) -> str | None:
        """Return why running trials shall end now, or None; they continue from their resume points later."""

    def started(self, assignment: Assignment) -> None:
        """Hear that an assignment starts, for the first time or once more."""

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord]) -> None:
        """Hear of epochs of a running trial."""

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        """Hear how an assignment ended.

        Args:
            assignment: that `next` gave.
            state: of its trial now.
            host: where it ended; empty if that is not known.
            attempts: how often it was started.
        """

    def unwritable(self, reason: str) -> None:
        """Hear that checkpoints cannot be written any more."""


class Executor(AbstractContextManager["Executor"]):
    """Trains what a `Work` hands out. Entering connects to where trials run; `slots` is known from then on."""

    slots: int = 1
    """How many trials run at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave everything that `__enter__` started."""

    def run(self, work: Work) -> None:
        """Train until the work is over or wants to stop.

        Raises:
            UserError: no trial fits where they should run.
        """
        raise NotImplementedError
