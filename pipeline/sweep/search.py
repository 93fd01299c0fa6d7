"""Tune's side of a strategy: which trial next. It holds no truth; the ledger does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.search import Searcher

from pipeline.sweep.study import CellStudy
from pipeline.trials import Trial


class Unsaved:
    """Keeps its state out of the snapshots Tune writes: a sweep goes on from the ledger, never from Tune's state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class PlanSearcher(Unsaved, Searcher):
    """Hands the pending trials of a plan to Tune, cell by cell in the order Optuna asks for.

    Args:
        pending: plan minus ledger.
        study: the suite's Optuna study, or None (baselines), when the plan's own order holds.
        stopping: says whether no further trial shall start.
    """

    def __init__(self, pending: Sequence[Trial], study: CellStudy | None, stopping: Callable[[], bool]) -> None:
        super().__init__()
        self._by_cell: dict[str, list[Trial]] = defaultdict(list)
        for trial in pending:
            self._by_cell[trial.cell.key].append(trial)
        self._order = iter(list(self._by_cell)) if study is None else iter(study.next_cell, None)
        self._current: list[Trial] = []
        self._stopping = stopping

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, or `Searcher.FINISHED` when there is none."""
        while not self._current:
            cell_key = next(self._order, None)
            if cell_key is None:
                return Searcher.FINISHED
            self._current = list(self._by_cell[cell_key])
        if self._stopping():
            return Searcher.FINISHED
        return {"trial": self._current.pop(0).to_json()}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the driver tells the study what it writes to the ledger."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""
