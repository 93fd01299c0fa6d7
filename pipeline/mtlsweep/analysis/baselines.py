"""The single-task results that multi-task results are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mtlsweep.analysis.chosen_epochs import at_epochs, attach, best_epochs
from mtlsweep.analysis.objectives import Objective, tasks_of
from mtlsweep.analysis.selection import axis_columns, eligible_cells
from mtlsweep.errors import UserError
from mtlsweep.trials.metric_names import LOSS, MetricName, column_of, figure_of


@dataclass(frozen=True)
class Baselines:
    """The single-task reference.

    Attributes:
        table: a row per task and metric: the selected `lr`, values of axes, `cell_key`, `seeds` and `val_loss` of the
            task, and `val_mean`, `val_std`, `test_mean`, `test_std` of the metric over seeds; with several optimizers
            also the `optimizer` of the task.
        trials: a row per STL trial, at its own epoch of lowest validation loss.
        values: split ("val" or "test") to the baseline of every objective, by `Objective.name`.
        by_optimizer: the baselines of each optimizer alone; empty with a single optimizer, and without an optimizer that
            has no usable learning rate for some task.
    """

    table: pd.DataFrame
    trials: pd.DataFrame
    values: dict[str, dict[str, float]]
    by_optimizer: dict[str, Baselines] = field(default_factory=dict)


def select_baselines(curves: pd.DataFrame, outcomes: pd.DataFrame, objectives: Sequence[Objective]) -> Baselines:
    """Choose for each task the STL cell (optimizer and learning rate) with the lowest mean validation loss over its seeds.

    Raises:
        UserError: no learning rate of a task finished with all its seeds.
    """
    tasks = tasks_of(objectives)
    losses = {task: MetricName("val", task, LOSS) for task in tasks}
    metrics = [objective.of(split) for split in ("val", "test") for objective in objectives]
    epochs = at_epochs(curves, [*losses.values(), *metrics])
    own_task = outcomes.set_index("trial_key")["task"].astype(str)
    epochs["val_loss"] = np.nan
    for task, loss in losses.items():
        rows = own_task.reindex(epochs.index.get_level_values("trial_key")).to_numpy() == task
        epochs.loc[rows, "val_loss"] = epochs.loc[rows, loss.column]
    measured = best_epochs(epochs, "val_loss").drop(columns=[loss.column for loss in losses.values()])
    trials = attach(outcomes, measured)
    best = _select(trials, objectives)
    optimizers = sorted(set(trials["optimizer"]))
    if len(optimizers) == 1:
        return replace(best, table=best.table.drop(columns="optimizer"))
    for optimizer in optimizers:
        with suppress(UserError):  # it has diverged at every rate of a task, so it has no baseline of its own
            best.by_optimizer[optimizer] = _select(trials[trials["optimizer"] == optimizer], objectives)
    return best


def _select(trials: pd.DataFrame, objectives: Sequence[Objective]) -> Baselines:
    tasks = tasks_of(objectives)
    table = pd.concat([_baseline_of(task, trials, objectives) for task in tasks], ignore_index=True)
    names = list(map(figure_of, table["task"], table["metric"]))
    values = {split: dict(zip(names, table[column_of(split, "mean")], strict=True)) for split in ("val", "test")}
    return Baselines(table, trials, values)


def _baseline_of(task: str, trials: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    own = trials[trials["task"].astype(str) == task]
    cells = eligible_cells(own, ["task"], "val_loss")
    if cells.empty:
        raise UserError(
            f"task `{task}` has no baseline: of its {len(own)} single-task trials {(own['outcome'] == 'done').sum()} are "
            f"done, and no learning rate is done with every seed; widen `baselines.learning_rates` and run `dvc repro`."
        )
    chosen = cells.iloc[0]
    replicates = own[own["cell_key"] == chosen["cell_key"]]
    rows = []
    for objective in (objective for objective in objectives if objective.task == task):
        row = {
            "task": task,
            "metric": objective.metric,
            "optimizer": replicates["optimizer"].iloc[0],
            "lr": chosen["lr"],
            **{axis: chosen[axis] for axis in axis_columns(cells)},
            "cell_key": chosen["cell_key"],
        }
        row |= {"seeds": len(replicates), "val_loss": chosen["mean"]}
        for split in ("val", "test"):
            column = replicates[objective.of(split).column]
            row |= {column_of(split, "mean"): column.mean(skipna=False), column_of(split, "std"): column.std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)
