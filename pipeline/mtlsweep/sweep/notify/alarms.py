"""What in a running sweep is worth a message, each once."""

from __future__ import annotations

from collections.abc import Iterator

from mtlsweep.sweep.notify.message import Message, Sweep
from mtlsweep.sweep.progress import Progress, format_seconds
from mtlsweep.trials.state import Outcome

TIMES_EXPECTED = 3

LEAST_SECONDS = 60.0
"""Of silence; start and end of a process may take longer than a short trial."""

SECONDS_IF_UNKNOWN = 20 * 60.0
"""Expected for a trial before the first epoch of any has ended."""

LEAST_TRIALS = 5
"""One failure among fewer trials says little."""


class Alarms:
    """Looks at a sweep's progress.

    Args:
        sweep: what the messages are about.
        progress: of the sweep.
        failed_share: share of the trials that ended in this run above which failures are told.
    """

    def __init__(self, sweep: Sweep, progress: Progress, failed_share: float) -> None:
        self._sweep = sweep
        self._progress = progress
        self._failed_share = failed_share
        self._earlier = progress.outcomes
        self._told: set[str] = set()
        self._silent_since: float | None = None

    def due(self, now: float, used_up: str | None) -> Iterator[Message]:
        """Yield what is to be told now.

        Args:
            now: Unix time in seconds.
            used_up: why the budget lets no more trials start, or None.
        """
        ended = self._progress.outcomes - self._earlier
        failed, count = ended[Outcome.FAILED], ended.total()
        if count >= LEAST_TRIALS and failed > self._failed_share * count and self._is_new("failing"):
            yield self._sweep.failing(failed, count, self._failed_share, self._progress)
        if used_up is not None and self._is_new("budget"):
            yield self._sweep.used_budget(used_up, self._progress)
        since = self._progress.last_ended_at
        expected = self._progress.trial_seconds or SECONDS_IF_UNKNOWN
        if now - since > max(TIMES_EXPECTED * expected, LEAST_SECONDS) and self._silent_since != since:
            self._silent_since = since  # told again when another trial has ended and silence follows
            yield self._sweep.stalled(format_seconds(now - since), format_seconds(expected), self._progress)

    def _is_new(self, event: str) -> bool:
        is_new = event not in self._told
        self._told.add(event)
        return is_new
