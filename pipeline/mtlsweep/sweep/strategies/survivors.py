"""Which learning rates survived in an earlier ledger: those that a race kept to its end, or that a grid would select."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mtlsweep.sweep.strategies.rungs import order_by_rank
from mtlsweep.trials.metric_names import LOSS, MetricName
from mtlsweep.trials.state import FinishedTrial, Outcome

MOST_OF_A_METHOD = 2
"""A race ends with one rate or two; a grid keeps all of them, and the others of it are no recommendation."""


@dataclass(frozen=True)
class Survivor:
    """A learning rate that did well with a weighting and an optimizer, called by their registered names.

    Attributes:
        place: 1 for the best of its method, 2 for the next.
    """

    weighting: str
    optimizer: str
    learning_rate: float
    place: int


def find_survivors(trials: Iterable[FinishedTrial]) -> list[Survivor]:
    """Return of each method the settings that have the most seeds done, at most two: the best by validation losses.

    A race gives further seeds to its leading rates only. Cells with equally many are ordered by non-dominated rank and
    then by hypervolume contribution of their tasks' losses, so no baselines and no units are needed. A cell with a
    replicate that diverged or failed does not survive.

    Args:
        trials: multi-task trials; those of other suites, data or lengths do not compete with each other.
    """
    contests: dict[tuple[object, ...], dict[str, list[FinishedTrial]]] = defaultdict(lambda: defaultdict(list))
    for one in trials:
        cell = one.trial.cell
        protocol = (cell.suite, cell.tasks, cell.data_fingerprint, cell.training.epochs)
        contests[(*protocol, cell.weighting.name, cell.optimizer.name)][cell.key].append(one)
    return [survivor for cells in contests.values() for survivor in _best_of(cells.values())]


def _best_of(cells: Iterable[Sequence[FinishedTrial]]) -> list[Survivor]:
    done = [replicates for replicates in cells if {one.state.outcome for one in replicates} == {Outcome.DONE}]
    most = max(map(len, done), default=0)
    measured = [
        (replicates[0].trial.cell, losses)
        for replicates in done
        if len(replicates) == most and all(map(math.isfinite, losses := _mean_losses(replicates)))
    ]
    best = order_by_rank(np.array([losses for _, losses in measured]))[:MOST_OF_A_METHOD]
    kept = [measured[position][0] for position in best]
    return [
        Survivor(cell.weighting.name, cell.optimizer.name, cell.learning_rate, place)
        for place, cell in enumerate(kept, start=1)
    ]


def _mean_losses(replicates: Sequence[FinishedTrial]) -> list[float]:
    """Return for each task its lowest validation loss over the epochs, mean over the seeds; NaN if one was not measured."""
    rows = []
    for one in replicates:
        tasks = one.trial.cell.tasks
        names = [str(MetricName("val", task, LOSS)) for task in tasks]
        epochs = [record.metrics for record in one.state.curve]
        rows.append([min((epoch.get(name, math.nan) for epoch in epochs), default=math.nan) for name in names])
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]
