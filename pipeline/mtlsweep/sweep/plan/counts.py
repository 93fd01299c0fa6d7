"""Planned and finished trials of each method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mtlsweep.trials.trial import Trial


@dataclass(frozen=True)
class MethodCount:
    """Numbers of planned and finished trials of one method."""

    method: str
    planned: int
    finished: int


def count_by_method(planned: Iterable[Trial], finished: Iterable[Trial]) -> list[MethodCount]:
    """Return the counts of each method, in the order of the plan."""
    wanted = Counter(_method_name(trial) for trial in planned)
    done = Counter(_method_name(trial) for trial in finished)
    return [MethodCount(method, wanted[method], done[method]) for method in dict.fromkeys([*wanted, *done])]


def _method_name(trial: Trial) -> str:
    return f"stl {trial.cell.tasks[0]} {trial.cell.optimizer_label}" if trial.cell.role == "stl" else trial.cell.method
