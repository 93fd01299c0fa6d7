"""How the selected methods trained: Delta_m, losses and task weights over epochs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.chosen_epochs import at_epochs
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.objectives import Objective, tasks_of
from mtlsweep.analysis.selection import METHOD


def learning_curves(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    selected: pd.DataFrame,
    baselines: Baselines,
    objectives: Sequence[Objective],
) -> pd.DataFrame:
    """Return the curves of the selected cells, averaged over seeds.

    Returns:
        (weighting, optimizer, epoch, quantity, task, mean, std): quantity is "delta_m" (validation, no
        task), "train_loss", "val_loss" or "weight" (effective weight of the task's gradient).
    """
    chosen = trials[trials["cell_key"].isin(selected["cell_key"])].set_index("trial_key")[METHOD]
    own = curves[curves["trial_key"].isin(chosen.index)]
    tasks = tasks_of(objectives)
    recorded = {"train_loss": ("train", "loss"), "val_loss": ("val", "loss"), "weight": ("train", "weight")}
    columns = [("val", objective.task, objective.metric) for objective in objectives]
    columns += [(split, task, metric) for split, metric in recorded.values() for task in tasks]
    epochs = at_epochs(own, columns)
    metrics = epochs.rename(columns=lambda column: column.removeprefix("val_"))
    pieces = [_piece(delta_m(metrics, baselines.values["val"], objectives)["delta_m"], "delta_m", "")]
    for quantity, (split, metric) in recorded.items():
        pieces += [_piece(epochs[f"{split}_{task}_{metric}"], quantity, task) for task in tasks]
    long = pd.concat(pieces, ignore_index=True).dropna(subset="value")
    long = long.join(chosen, on="trial_key")
    grouped = long.groupby([*METHOD, "epoch", "quantity", "task"], observed=True)["value"]
    return grouped.agg(["mean", "std"]).reset_index()


def _piece(values: pd.Series, quantity: str, task: str) -> pd.DataFrame:
    return values.rename("value").reset_index().assign(quantity=quantity, task=task)
