"""The interface between a sweep and its executor.

The driver decides and writes (`Work`); an executor trains (`Executor`). They know only this interface.
There are three executors: on Ray, in this process, and a replay of recorded curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import State


class Work(Protocol):
    """The driver's side; an executor calls it from one thread."""

    def next(self) -> Assignment | None:
        """Return what to start now. None: ask again after the next `ended`; if nothing runs, the work is complete."""

    def stopping(self) -> str | None:
        """Return the reason to stop running trials now, or None; they continue from resume points later."""

    def started(self, assignment: Assignment) -> None:
        """Called when an assignment starts or restarts."""

    def interrupted(self, assignment: Assignment) -> None:
        """Called when an assignment loses its device and waits for another one; then `started` follows."""

    def devices(self, sentences: Sequence[str]) -> None:
        """Called when other devices take part than before.

        Args:
            sentences: which devices trials run on or wait for, and how many share one; empty where there is nothing to say.
        """

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord], host: str = "") -> None:
        """Called with new epochs of a running trial, and the name of the host that trained them."""

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        """Called when an assignment ends.

        Args:
            assignment: returned by `next`.
            state: state of its trial.
            host: name of the host where it ended; empty if unknown.
            attempts: number of starts.
        """

    def unwritable(self, reason: str) -> None:
        """Called when checkpoints cannot be written."""

    def changed(self, assignment: Assignment, reason: str) -> None:
        """Called when no host has the code and files that a trial was planned with; it has no result, others go on."""

    def no_host(self, reason: str) -> None:
        """Called when no host can run trials; the trials that could not run have no result."""


class Executor(AbstractContextManager["Executor"]):
    """Trains the assignments of a `Work`. Entering the context connects to the hosts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything that `__enter__` opened."""

    def run(self, work: Work) -> None:
        """Train until the work is complete or stops.

        Raises:
            UserError: no host has room for a trial.
        """
        raise NotImplementedError
