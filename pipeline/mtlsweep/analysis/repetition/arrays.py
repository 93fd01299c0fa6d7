"""A sweep and its baselines as arrays: all that the procedure looks at, so that it can be repeated a thousand times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.chosen_epochs import at_epochs
from mtlsweep.analysis.objectives import Objective, counted, tasks_of
from mtlsweep.analysis.selection import METHOD, ORDER, eligible_cells

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SingleTask:
    """The single-task cells of one task that are done with every seed, each trial at its epoch of lowest validation loss.

    Attributes:
        loss: validation loss [cells, seeds]. Of equally good cells the first is selected.
        values: the task's metrics [2, cells, seeds, metrics] on validation and test.
        positions: of these metrics among those of the suite.
    """

    loss: Floats
    values: Floats
    positions: NDArray[np.intp]


@dataclass(frozen=True)
class SweepArrays:
    """What is known about the cells that may be selected: those done with every seed.

    Attributes:
        values: the metrics that count in Delta_m [2, cells, seeds, epochs, metrics] on validation and test; NaN where an
            epoch was not measured. Of equally good cells of a method the first is selected.
        method: of each cell, as a position in `methods`.
        methods: (weighting, optimizer) of each method that has such a cell.
        signs: of each metric, +1 where higher is worse, -1 where it is better.
        single_task: the baselines of each task.
        same_seeds: whether baselines and sweep have the same seeds, which are then drawn together: they share the order of
            the data and the initial weights.
    """

    values: Floats
    method: NDArray[np.intp]
    methods: tuple[tuple[str, str], ...]
    signs: Floats
    single_task: tuple[SingleTask, ...]
    same_seeds: bool

    @property
    def seeds(self) -> int:
        """Replicates of each cell."""
        return self.values.shape[2]

    @property
    def baseline_seeds(self) -> int:
        """Replicates of each single-task cell."""
        return min(task.loss.shape[1] for task in self.single_task)


def sweep_arrays(
    curves: pd.DataFrame, trials: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]
) -> SweepArrays:
    """Return the arrays of a suite.

    Args:
        curves: raw curves of the sweep.
        trials: the multi-task trials with `val_delta_m`.
        baselines: the single-task results.
        objectives: every metric of every task.
    """
    objectives = counted(objectives)
    cells = eligible_cells(trials, METHOD, "val_delta_m").sort_values([*METHOD, *ORDER[1:]], ignore_index=True)
    chosen = trials[trials["cell_key"].isin(cells["cell_key"])]
    keys = chosen.pivot(index="cell_key", columns="seed", values="trial_key").reindex(cells["cell_key"])
    names = [objective.of(split) for split in ("val", "test") for objective in objectives]
    epochs = at_epochs(curves[curves["trial_key"].isin(chosen["trial_key"])], names)
    numbers = epochs.index.unique("epoch").sort_values()
    rows = pd.MultiIndex.from_product([keys.to_numpy().ravel().astype(str), numbers])
    values = epochs.reindex(rows).to_numpy().reshape(*keys.shape, len(numbers), 2, len(objectives))
    methods = cells[METHOD].drop_duplicates()
    position = {method: place for place, method in enumerate(methods.itertuples(index=False, name=None))}
    labels = list(cells[METHOD].itertuples(index=False, name=None))
    tasks = [_single_task(task, baselines.trials, objectives) for task in tasks_of(objectives)]
    return SweepArrays(
        values=np.ascontiguousarray(np.moveaxis(values, 3, 0)),
        method=np.array([position[label] for label in labels], dtype=np.intp),
        methods=tuple(position),
        signs=np.array([-1.0 if objective.higher_is_better else 1.0 for objective in objectives]),
        single_task=tuple(tasks),
        same_seeds=set(keys.columns) == set(baselines.trials["seed"]),
    )


def _single_task(task: str, trials: pd.DataFrame, objectives: Sequence[Objective]) -> SingleTask:
    own = trials[trials["task"].astype(str) == task]
    figures = [
        objective.of(split).column for split in ("val", "test") for objective in objectives if objective.task == task
    ]
    own = own[np.isfinite(own[figures]).groupby(own["cell_key"]).transform("all").all(axis=1)]  # no baseline can be NaN
    cells = eligible_cells(own, ["task"], "val_loss").sort_values([*ORDER[1:]], ignore_index=True)
    chosen = own[own["cell_key"].isin(cells["cell_key"])].set_index(["cell_key", "seed"])
    rows = pd.MultiIndex.from_product([cells["cell_key"], sorted(chosen.index.unique("seed"))])
    positions = [place for place, objective in enumerate(objectives) if objective.task == task]
    shape = (len(cells), len(rows) // len(cells))

    def column(name: str) -> Floats:
        values: Floats = chosen[name].reindex(rows).to_numpy(dtype=float).reshape(shape)
        return values

    values = [[column(objectives[place].of(split).column) for place in positions] for split in ("val", "test")]
    return SingleTask(column("val_loss"), np.moveaxis(np.array(values), 1, 3), np.array(positions, dtype=np.intp))
