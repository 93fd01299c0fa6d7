"""Tell people about a sweep while it runs and when it ends; whatever goes wrong here is a line in the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from mtlsweep.errors import UserError, first_line
from mtlsweep.params.resources import Notify
from mtlsweep.sweep.notify.addresses import sender_of
from mtlsweep.sweep.notify.alarms import Alarms
from mtlsweep.sweep.notify.message import Message, Sweep
from mtlsweep.sweep.notify.outbox import Outbox
from mtlsweep.sweep.progress import Progress

SECONDS_BETWEEN_LOOKS = 2.0
SECONDS_AT_THE_END = 10.0
"""How long the end of a sweep waits for its last message to leave."""


class Notifier:
    """Context manager around the training of a stage; leaving it tells how the stage ended.

    Args:
        notify: addresses and limits of params.yaml.
        suite, stage: what is trained.
        progress: of the sweep.
    """

    def __init__(self, notify: Notify, suite: str, stage: str, progress: Progress) -> None:
        self._sweep = Sweep.here(suite, stage)
        self._progress = progress
        self._notify = notify
        self._outboxes: list[Outbox] = []
        self._left = threading.Event()

    def __enter__(self) -> Notifier:
        for position, variable in enumerate(self._notify.variables):
            place = f"notify.to[{position}]"
            try:
                self._outboxes.append(Outbox(place, sender_of(place, variable)))
            except UserError as error:
                print(f"notify: {error} Nobody is told at this address; the sweep runs without it.", flush=True)
        return self

    def watch(self, used_up: Callable[[], str | None]) -> None:
        """Look at the progress from now on; `used_up` returns why the budget lets no more trials start, or None."""
        if self._outboxes:
            alarms = Alarms(self._sweep, self._progress, self._notify.failed_share)
            threading.Thread(target=self._look, args=(alarms, used_up), name="alarms", daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        if error is None:
            self._tell(self._sweep.finished(self._progress))
        else:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
            self._tell(self._sweep.stopped(reason, self._progress))
        until = time.monotonic() + SECONDS_AT_THE_END
        for outbox in self._outboxes:
            outbox.put(None)
        for outbox in self._outboxes:
            outbox.join(max(0.0, until - time.monotonic()))

    def _look(self, alarms: Alarms, used_up: Callable[[], str | None]) -> None:
        while not self._left.wait(SECONDS_BETWEEN_LOOKS):
            for message in alarms.due(time.time(), used_up()):
                self._tell(message)

    def _tell(self, message: Message) -> None:
        for outbox in self._outboxes:
            outbox.put(message)
