"""The full factorial: train every cell with every seed to the last epoch."""

from __future__ import annotations

from collections.abc import Sequence

from mtlsweep.sweep.strategies.by_method import Decision, MethodByMethod
from mtlsweep.sweep.strategies.known import Known, has_ended
from mtlsweep.sweep.strategies.strategy import STRATEGIES
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import Cell


@STRATEGIES.register("grid")
class Grid(MethodByMethod):
    """The paper's protocol: no pruning and no adaptation."""

    def decide(self, cells: Sequence[Cell], known: Known) -> Decision:
        """Return every trial that has not ended."""
        trials = [self._trial(cell, seed) for cell in cells for seed in self._seeds]
        wanted = tuple(Assignment(t, t.cell.training.epochs) for t in trials if not has_ended(t, known))
        return Decision(wanted, total=len(trials))
