"""The messages, in plain English: what has happened, in which study, how far it is, and what to do next."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from mtlsweep.sweep.progress import Progress


@dataclass(frozen=True)
class Message:
    """What a person is told.

    Attributes:
        event: `ended`, `stalled`, `failing`, `budget` or `test`.
        title: one line.
        text: a few sentences.
    """

    event: str
    title: str
    text: str


@dataclass(frozen=True)
class Sweep:
    """The sweep that messages are about.

    Attributes:
        study: name of the project's directory.
        suite, stage: what is trained.
        host: name of the machine where the driver runs.
    """

    study: str
    suite: str
    stage: str
    host: str

    @classmethod
    def here(cls, suite: str, stage: str) -> Sweep:
        """Return that of the current directory and machine."""
        return cls(Path.cwd().name, suite, stage, socket.gethostname())

    def finished(self, progress: Progress) -> Message:
        """Every trial that the strategy wanted is finished."""
        return self._message(
            "ended",
            "finished",
            "Every trial has ended.",
            progress,
            f"`mtlsweep watch {self.suite}` shows the results so far; `dvc repro` goes on to the report",
        )

    def stopped(self, reason: str, progress: Progress) -> Message:
        """The sweep ended early; the reason names the next step."""
        return self._message("ended", "stopped", f"{reason.rstrip('.')}.", progress, None)

    def stalled(self, silence: str, expected: str, progress: Progress) -> Message:
        """No trial has ended for long."""
        what = f"No trial has ended for {silence}; one takes about {expected}."
        return self._message(
            "stalled",
            "stalls",
            what,
            progress,
            f"`mtlsweep status {self.suite}` shows what runs; `mtlsweep stop {self.suite}` ends the sweep so that `dvc repro` can continue it",
        )

    def failing(self, failed: int, ended: int, share: float, progress: Progress) -> Message:
        """More trials fail than `notify.failed_share` allows."""
        what = f"{failed} of the {ended} trials that ended in this run failed, more than `notify.failed_share` ({share:.0%})."
        return self._message(
            "failing", "many trials fail", what, progress, f"`mtlsweep failures {self.suite}` says why"
        )

    def used_budget(self, reason: str, progress: Progress) -> Message:
        """The budget lets no more trials start."""
        return self._message(
            "budget",
            "budget used up",
            f"{reason}.",
            progress,
            "`dvc repro` continues with a new budget; raise it in params.yaml if it shall run longer",
        )

    def _message(self, event: str, title: str, what: str, progress: Progress, following: str | None) -> Message:
        lines = [
            what,
            f"{progress.counts_in_words()}.",
            f"Study {self.study}, suite {self.suite}, stage {self.stage}, on {self.host}.",
            *([f"Next: {following}."] if following else []),
        ]
        return Message(event, f"{self.study}, {self.suite} {self.stage}: {title}", "\n".join(lines))


def try_out(study: str) -> Message:
    """Return the message of `mtlsweep notify --test`."""
    return Message("test", f"{study}: test of mtlsweep", f"Messages about the study {study} arrive here.")
