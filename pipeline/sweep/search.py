"""Tune's side of a strategy: which trial next. It holds no truth; the ledger does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from pipeline.sweep.strategies import Strategy
from pipeline.sweep.study import CellStudy


class Unsaved:
    """Keeps its state out of the snapshots Tune writes: a sweep goes on from the ledger, never from Tune's state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StrategySearcher(Unsaved, Searcher):
    """Hands the trials a strategy wants to Tune, and enters their cells into the Optuna study.

    Args:
        strategy: decides.
        study: the suite's Optuna study, or None (baselines).
        stopping: says whether no further trial shall start.
    """

    def __init__(self, strategy: Strategy, study: CellStudy | None, stopping: Callable[[], bool]) -> None:
        super().__init__()
        self._strategy = strategy
        self._study = study
        self._stopping = stopping
        self._running: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, None to be asked again, or `Searcher.FINISHED`."""
        assignment = None if self._stopping() else self._strategy.next()
        if assignment is None:
            return None if self._running and not self._stopping() else Searcher.FINISHED
        if self._study is not None:
            self._study.begin(assignment.trial.cell)
        self._running.add(trial_id)
        return {"trial": assignment.trial.to_json(), "until": assignment.until}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Forget a trial; its result went to the strategy through the driver, with the ledger."""
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, see `Unsaved`."""
