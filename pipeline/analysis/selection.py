"""Late selection: which epoch speaks for a trial, which trials are the baseline, which learning rate speaks for a method.

Every choice here is made on validation figures. Test figures are looked up at what was chosen and
never compared: `select_learning_rates` is not even given them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.analysis.delta_m import delta_m
from pipeline.analysis.objectives import Objective, tasks_of
from pipeline.errors import UserError

METHOD = ["weighting", "optimizer"]
MEASURED_OUTCOMES = ("done", "pruned")  # a diverged or failed trial has no result, whatever it reached before


@dataclass(frozen=True)
class Baselines:
    """The single-task reference.

    Attributes:
        table: a row per task and metric: the selected `lr`, `cell_key`, `seeds` and `val_loss` of the
            task, and `val_mean`, `val_std`, `test_mean`, `test_std` of the metric over seeds.
        trials: a row per STL trial, at its own epoch of lowest validation loss.
        values: split ("val" or "test") to the baseline of every objective, by `Objective.name`.
    """

    table: pd.DataFrame
    trials: pd.DataFrame
    values: dict[str, dict[str, float]]


def at_epochs(curves: pd.DataFrame, columns: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    """Spread long curves into one row per (trial_key, epoch), one column per (split, task, metric).

    Columns are named `val_left_accuracy`. Epochs at which none of them was recorded do not appear.
    """
    wanted = pd.DataFrame(columns, columns=["split", "task", "metric"]).assign(column=range(len(columns)))
    rows = curves.merge(wanted, on=["split", "task", "metric"])
    codes, index = pd.MultiIndex.from_arrays([rows["trial_key"].astype(str), rows["epoch"]]).factorize(sort=True)
    grid = np.full((len(index), len(columns)), np.nan)
    grid[codes, rows["column"]] = rows["value"]
    index = pd.MultiIndex.from_tuples(list(index), names=["trial_key", "epoch"])
    return pd.DataFrame(grid, index=index, columns=["_".join(column) for column in columns])


def best_epochs(epochs: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """Return, per trial, the row of its lowest `criterion` (the earliest of several), with `best_epoch`.

    Trials whose criterion is finite at no epoch do not appear.
    """
    finite = epochs[np.isfinite(epochs[criterion])].sort_index()
    chosen = finite.loc[finite.groupby(level="trial_key")[criterion].idxmin()]
    return chosen.reset_index().rename(columns={"epoch": "best_epoch"}).set_index("trial_key")


def select_baselines(curves: pd.DataFrame, outcomes: pd.DataFrame, objectives: Sequence[Objective]) -> Baselines:
    """Choose for each task the STL learning rate with the lowest mean validation loss over its seeds.

    Raises:
        UserError: no learning rate of a task finished with all its seeds.
    """
    tasks = tasks_of(objectives)
    columns = [("val", task, "loss") for task in tasks]
    columns += [(split, objective.task, objective.metric) for split in ("val", "test") for objective in objectives]
    epochs = at_epochs(curves, columns)
    own_task = outcomes.set_index("trial_key")["task"].astype(str)
    epochs["val_loss"] = np.nan
    for task in tasks:
        rows = own_task.reindex(epochs.index.get_level_values("trial_key")).to_numpy() == task
        epochs.loc[rows, "val_loss"] = epochs.loc[rows, f"val_{task}_loss"]
    measured = best_epochs(epochs, "val_loss").drop(columns=[f"val_{task}_loss" for task in tasks])
    trials = attach(outcomes, measured)
    table = pd.concat([_baseline_of(task, trials, objectives) for task in tasks], ignore_index=True)
    names = table["task"] + "_" + table["metric"]
    values = {split: dict(zip(names, table[f"{split}_mean"], strict=True)) for split in ("val", "test")}
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
        row = {"task": task, "metric": objective.metric, "lr": chosen["lr"], "cell_key": chosen["cell_key"]}
        row |= {"seeds": len(replicates), "val_loss": chosen["mean"]}
        for split in ("val", "test"):
            column = replicates[f"{split}_{objective.name}"]
            row |= {f"{split}_mean": column.mean(skipna=False), f"{split}_std": column.std(ddof=1)}
        rows.append(row)
    return pd.DataFrame(rows)


def measure_trials(
    curves: pd.DataFrame, outcomes: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]
) -> pd.DataFrame:
    """Return the multi-task trials, each at its epoch of lowest validation Delta_m, with all Delta_m."""
    columns = [(split, objective.task, objective.metric) for split in ("val", "test") for objective in objectives]
    epochs = at_epochs(curves, columns)
    validation = delta_m(_split(epochs, "val"), baselines.values["val"], objectives)
    chosen = best_epochs(epochs.assign(criterion=validation["delta_m"]), "criterion").drop(columns="criterion")
    return attach(outcomes, chosen)


def with_delta_m(trials: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Append `val_delta_m*` and `test_delta_m*` to trials that stand at their chosen epochs."""
    parts = [
        delta_m(_split(trials, split), baselines.values[split], objectives).add_prefix(f"{split}_")
        for split in ("val", "test")
    ]
    return pd.concat([trials, *parts], axis=1)


def attach(outcomes: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Join measured rows (by trial_key) to the outcomes; diverged and failed trials keep empty figures."""
    trials = outcomes.astype({"trial_key": str}).sort_values("trial_key", ignore_index=True)
    has_result = trials["outcome"].isin(MEASURED_OUTCOMES)
    figures = measured.reindex(trials["trial_key"].where(has_result)).reset_index(drop=True)
    return pd.concat([trials, figures], axis=1)


def eligible_cells(trials: pd.DataFrame, by: list[str], criterion: str) -> pd.DataFrame:
    """Return the cells whose replicates are all done and measured, best mean `criterion` first within `by`."""
    usable = (trials["outcome"] == "done") & np.isfinite(trials[criterion].astype(float))
    cells = (
        trials.assign(usable=usable)
        .groupby([*by, "cell_key"], as_index=False, observed=True)
        .agg(lr=("lr", "first"), seeds=("seed", "size"), usable=("usable", "all"), mean=(criterion, "mean"))
    )
    cells = cells[cells["usable"]].drop(columns="usable")
    return cells.sort_values([*by, "mean", "lr", "cell_key"], ignore_index=True)


def select_learning_rates(trials: pd.DataFrame) -> pd.DataFrame:
    """Return per method the eligible cell with the lowest mean validation Delta_m (ties: lower learning rate).

    Args:
        trials: multi-task trials; only identity, outcome and `val_delta_m` are read.

    Returns:
        Columns weighting, optimizer, cell_key, lr, seeds, mean; methods without an eligible cell do not appear.
    """
    visible = trials[[*METHOD, "cell_key", "lr", "seed", "outcome", "val_delta_m"]]
    return eligible_cells(visible, METHOD, "val_delta_m").groupby(METHOD, as_index=False, observed=True).head(1)


def _split(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    prefix = f"{split}_"
    return frame[[c for c in frame.columns if c.startswith(prefix)]].rename(columns=lambda c: c.removeprefix(prefix))
