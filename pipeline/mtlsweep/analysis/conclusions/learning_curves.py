"""How the selected methods trained: Delta_m, losses and task weights over epochs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.chosen_epochs import at_epochs, measured_on
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.objectives import Objective, tasks_of
from mtlsweep.analysis.selection import METHOD
from mtlsweep.trials.metric_names import DELTA_M, LOSS, MetricName


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
    quantities = {"train_loss": ("train", LOSS), "val_loss": ("val", LOSS), "weight": ("train", "weight")}
    recorded = {
        (quantity, task): MetricName(split, task, metric)
        for quantity, (split, metric) in quantities.items()
        for task in tasks
    }
    epochs = at_epochs(own, [*(objective.of("val") for objective in objectives), *recorded.values()])
    compared = delta_m(measured_on(epochs, "val", objectives), baselines.values["val"], objectives)
    pieces = [_piece(compared[DELTA_M], DELTA_M, "")]
    pieces += [_piece(epochs[name.column], quantity, task) for (quantity, task), name in recorded.items()]
    long = pd.concat(pieces, ignore_index=True).dropna(subset="value")
    long = long.join(chosen, on="trial_key")
    grouped = long.groupby([*METHOD, "epoch", "quantity", "task"], observed=True)["value"]
    return grouped.agg(["mean", "std"]).reset_index()


def _piece(values: pd.Series, quantity: str, task: str) -> pd.DataFrame:
    return values.rename("value").reset_index().assign(quantity=quantity, task=task)
