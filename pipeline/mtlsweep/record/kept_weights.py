"""Which trials keep the weights of their best epoch.

Weights are a cache: training is deterministic, so a later stage can train a trial again. Weights of
a large network can fill a disk: 690 trials of DeepLab need 200 GB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from mtlsweep.record.ledger import Ledger
from mtlsweep.record.view import View
from mtlsweep.trials.state import FinishedTrial, Outcome

Policy = Literal["leading", "all", "none"]


class KeptWeights(View):
    """Deletes weights when trials finish.

    With `leading`, only the trial with the lowest score so far of each method and seed keeps its weights.
    Selection usually picks these trials; the exception is a cell that is best only in the mean over seeds.

    Args:
        ledger: stores the weights.
        policy: `leading`, `all` or `none`.
        score: score of an epoch's metrics, lower is better.
        finished: trials that finished in earlier runs.
    """

    def __init__(
        self,
        ledger: Ledger,
        policy: Policy,
        score: Callable[[Mapping[str, float]], float],
        finished: Iterable[FinishedTrial],
    ) -> None:
        self._ledger = ledger
        self._policy = policy
        self._score = score
        self._leading: dict[tuple[object, ...], tuple[float, str]] = {}
        kept = ledger.checkpoints.with_best()
        for one in finished:
            if one.trial.key in kept:
                self.finish(one)

    def finish(self, record: FinishedTrial) -> None:
        """Delete the weights of a finished trial, or of the trial that it replaces as the best."""
        if self._policy == "all":
            return
        key, cell = record.trial.key, record.trial.cell
        if self._policy == "none" or record.state.outcome is not Outcome.DONE:
            self._ledger.checkpoints.drop_best(key)
            return
        scores = [self._score(record.metrics) for record in record.state.curve]
        score = min((value for value in scores if math.isfinite(value)), default=math.inf)
        group = (cell.role, cell.tasks, cell.method, record.trial.seed)
        leading = self._leading.get(group)
        if leading is None or score < leading[0]:
            self._leading[group] = (score, key)
            if leading is not None and leading[1] != key:
                self._ledger.checkpoints.drop_best(leading[1])
        elif leading[1] != key:
            self._ledger.checkpoints.drop_best(key)
