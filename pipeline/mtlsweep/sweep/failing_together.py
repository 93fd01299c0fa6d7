"""When the first trials of a run all fail for one reason, the cause is not in the trials."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import FinishedTrial, Outcome

FAILURES_THAT_STOP = 3
METHODS_THAT_STOP = 2


class FailingTogether:
    """Watches whether all trials of a run failed so far, for one reason.

    It speaks after `FAILURES_THAT_STOP` failures of `METHODS_THAT_STOP` methods (of one, if there is no other):
    a method that is broken by itself fails alone, and the others are worth training. A baseline of another
    task counts as another method.

    Args:
        cells: all cells of the plan.
    """

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._methods_that_stop = min(METHODS_THAT_STOP, len(set(map(_method, cells))))
        self._failed: list[FinishedTrial] = []
        self._ended_otherwise = False

    def add(self, record: FinishedTrial) -> None:
        """Record a finished trial."""
        if record.state.outcome is Outcome.FAILED and not self._ended_otherwise:
            self._failed.append(record)
            self._ended_otherwise = len({_reason(one) for one in self._failed}) > 1
        else:
            self._ended_otherwise = True

    def reason(self) -> str | None:
        """Return why no more trials should start, or None."""
        methods = {_method(one.trial.cell) for one in self._failed}
        if self._ended_otherwise or len(self._failed) < FAILURES_THAT_STOP or len(methods) < self._methods_that_stop:
            return None
        return f"the first {len(self._failed)} trials of this run all failed: {_last_line(self._failed[0])}"


def _method(cell: Cell) -> tuple[str, tuple[str, ...]]:
    return cell.method, cell.tasks


def _reason(record: FinishedTrial) -> tuple[str | None, str]:
    """Return cause and last line of a failure, without numbers, which differ between trials."""
    return record.state.cause, re.sub(r"\d+", "#", _last_line(record))


def _last_line(record: FinishedTrial) -> str:
    lines = (record.state.detail or "").strip().splitlines()
    return lines[-1].strip()[:200] if lines else str(record.state.cause)
