"""Tune's side of a strategy: which trial next. It holds no truth; the ledger does."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from mtlsweep.sweep.executors.ray.unsaved import Unsaved
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies import Assignment, Strategy
from mtlsweep.trials.cell import Cell


class StrategySearcher(Unsaved, Searcher):
    """Hands the trials a strategy wants to Tune, and enters their cells into the Optuna study.

    Args:
        strategy: decides.
        study: the suite's Optuna study, or None (baselines).
        stop: says when no further trial shall start.
    """

    def __init__(self, strategy: Strategy, study: CellStudy | None, stop: StopRequest) -> None:
        super().__init__()
        self._strategy = strategy
        self._study = study
        self._stop = stop
        self._running: set[str] = set()
        self._again: list[Assignment] = []

    def retry_alone(self, assignment: Assignment) -> None:
        """Start a trial again that ran out of memory, next and with a device to itself."""
        self._again.append(assignment)

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, None to be asked again, or `Searcher.FINISHED`."""
        may_start = self._stop.reason_to_start_no_more() is None
        alone = bool(self._again) and may_start
        assignment = self._again.pop() if alone else self._strategy.next(self._suggest_cell) if may_start else None
        if assignment is None:
            return None if self._running and may_start else Searcher.FINISHED
        if self._study is not None:
            self._study.begin(assignment.trial.cell)
        self._stop.count_start()
        self._running.add(trial_id)
        return {"trial": assignment.trial.to_json(), "until": assignment.until, "alone": alone}

    def _suggest_cell(self) -> Cell | None:
        return None if self._study is None else self._study.suggest()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Forget a trial; its result went to the strategy through the driver, with the ledger."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""
