"""What a race cut, and what that may have cost: how each cut learning rate looked when it was cut.

A race keeps for each method the rates that lead at a rung. The risk is a rate that starts slowly and
would have won: this compares each cut rate with the one its method selected, both at the epoch of the cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.chosen_epochs import at_epochs, measured_on
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.objectives import Objective
from mtlsweep.analysis.selection import METHOD, tuned_axes
from mtlsweep.trials.metric_names import DELTA_M

_FIGURES = ["cut_at", "val_delta_m", "behind", "last_gain", "epochs_left", "may_have_won"]


def describe_cuts(
    curves: pd.DataFrame,
    trials: pd.DataFrame,
    selected: pd.DataFrame,
    baselines: Baselines,
    objectives: Sequence[Objective],
) -> pd.DataFrame:
    """Return a row per cut (pruned) trial whose method has a selected cell.

    Args:
        curves: raw curves of the sweep.
        trials: identity and outcome of each of its trials.
        selected: `cell_key` of the cell that each method selected.
        baselines: what Delta_m compares with.
        objectives: every metric of every task.

    Returns:
        weighting, optimizer, lr, tuned axes, seed; `cut_at`: its last epoch; `val_delta_m`: its lowest until then, in
        percent; `behind`: how much lower the selected cell was until the same epoch (mean over its seeds);
        `last_gain`: by how much its lowest Delta_m fell in its last epoch; `epochs_left`: of the whole
        training; `may_have_won`: at that pace it would have made up for `behind` in the epochs that were left.
    """
    cut = trials[trials["outcome"] == "pruned"]
    if cut.empty:
        return no_cuts()
    epochs = at_epochs(curves, [objective.of("val") for objective in objectives])
    compared = delta_m(measured_on(epochs, "val", objectives), baselines.values["val"], objectives)
    reached = compared[DELTA_M].replace([np.inf, -np.inf], np.nan)
    lowest = reached.groupby(level="trial_key").cummin()
    last = lowest.groupby(level="trial_key").size().max()
    winners = trials.merge(selected[["cell_key"]], on="cell_key").groupby(METHOD, observed=True)["trial_key"].agg(list)
    identity = [*METHOD, "lr", *tuned_axes(trials), "seed"]
    rows = []
    for trial in cut.to_dict("records"):
        own = lowest.get(trial["trial_key"])
        rivals = winners.get((trial["weighting"], trial["optimizer"]))
        if own is None or rivals is None or own.isna().all():
            continue
        at = int(own.index.max())
        ahead = float(np.mean([lowest.loc[key].loc[at] for key in rivals]))
        gain = float(own.iloc[-2] - own.iloc[-1]) if len(own) > 1 else np.nan
        behind, left = float(own.iloc[-1]) - ahead, int(last) - at
        rows.append(
            [
                *(trial[name] for name in identity),
                at,
                float(own.iloc[-1]),
                behind,
                gain,
                left,
                bool(behind <= gain * left),
            ]
        )
    return _typed(pd.DataFrame(rows, columns=[*identity, *_FIGURES])).sort_values(identity, ignore_index=True)


def no_cuts() -> pd.DataFrame:
    """Return the table of a sweep that cut nothing."""
    return _typed(pd.DataFrame(columns=[*METHOD, "lr", "seed", *_FIGURES]))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    floats = dict.fromkeys(["lr", "val_delta_m", "behind", "last_gain"], "float64")
    integers = dict.fromkeys(["seed", "cut_at", "epochs_left"], "int64")
    return table.astype({**floats, **integers, "may_have_won": "bool", "weighting": "str", "optimizer": "str"})
