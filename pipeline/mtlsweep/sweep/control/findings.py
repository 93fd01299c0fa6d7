"""What a sweep has found so far, on validation data: baselines, the best cell of each method, and the front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mtlsweep.analysis.baselines import Baselines, select_baselines
from mtlsweep.analysis.chosen_epochs import attach
from mtlsweep.analysis.fronts.pareto_set import costs, nondominated
from mtlsweep.analysis.objectives import Objective, counted, scatter_axes
from mtlsweep.analysis.selection import METHOD, axis_columns, rank_cells
from mtlsweep.analysis.trial_table import VAL_DELTA_M
from mtlsweep.record.tables.outcomes import build_outcomes
from mtlsweep.trials.curve import by_column
from mtlsweep.trials.metric_names import MetricName
from mtlsweep.trials.state import FinishedTrial

MOST_POINTS = 300
"""Drawn members of the front, and as many of the other runs."""


def find_baselines(finished: Sequence[FinishedTrial], objectives: Sequence[Objective]) -> Baselines:
    """Return the baselines among finished single-task trials.

    Raises:
        UserError: a task has none yet.
    """
    curves = [_long_curve(one) for one in finished if len(one.state.curve)]
    columns = ["trial_key", "epoch", "split", "task", "metric", "value"]
    together = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=columns)
    return select_baselines(together, build_outcomes(finished), objectives)


def _long_curve(one: FinishedTrial) -> pd.DataFrame:
    """Return the validation and test rows of a trial as the table of curves has them."""
    curve = by_column(one.state.curve)
    parts = []
    for text in curve.metrics:
        name = MetricName.parse(text)
        if name is not None and name.split != "train":
            place = {"split": name.split, "task": name.task, "metric": name.metric}
            parts.append(pd.DataFrame({"epoch": curve.epoch, **place, "value": curve.values(text)}))
    return pd.concat(parts, ignore_index=True).assign(trial_key=one.trial.key)


def describe_baselines(baselines: Baselines) -> list[dict[str, Any]]:
    """Return the selected baseline of each metric on validation data, as plain data."""
    rows = baselines.table
    return [
        {
            "metric": f"{row['task']} {row['metric']}".replace("_", " "),
            "learning_rate": row["lr"],
            "seeds": row["seeds"],
            "mean": row["val_mean"],
            "deviation": row["val_std"],
        }
        for row in rows.to_dict("records")
    ]


def find_so_far(
    finished: Iterable[FinishedTrial], measured: pd.DataFrame, objectives: Sequence[Objective]
) -> dict[str, Any]:
    """Return the best cell of each method and the front, as plain data.

    Args:
        finished: multi-task trials of the sweep.
        measured: their validation figures at their best epoch, by trial_key.
        objectives: every metric of every task.
    """
    trials = attach(build_outcomes(finished), measured)
    if VAL_DELTA_M not in trials:
        return {"methods": [], "front": None}
    done = trials[(trials["outcome"] == "done") & trials[VAL_DELTA_M].notna()].reset_index(drop=True)
    return {"methods": _best_methods(trials), "front": _front(done, objectives) if len(done) else None}


def _best_methods(trials: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each method its best cell, best first.

    It is the one of lowest mean validation Delta_m among those done with the most seeds, so that a single lucky seed does not
    lead; when all is trained it is the cell that the analysis selects.
    """
    cells = rank_cells(trials, METHOD, VAL_DELTA_M)
    cells = cells[cells["done"]]
    cells = cells[cells["seeds"] == cells.groupby(METHOD, observed=True)["seeds"].transform("max")]
    best = cells.groupby(METHOD, as_index=False, observed=True).head(1).sort_values("mean")
    spread = trials.groupby("cell_key")[VAL_DELTA_M].std(ddof=1)
    return [
        {
            "weighting": row["weighting"],
            "optimizer": row["optimizer"],
            "learning_rate": row["lr"],
            "axes": {axis: row[axis] for axis in axis_columns(cells) if pd.notna(row[axis])},
            "seeds": row["seeds"],
            "delta_m": row["mean"],
            "deviation": None if pd.isna(spread[row["cell_key"]]) else float(spread[row["cell_key"]]),
        }
        for row in best.to_dict("records")
    ]


def _front(done: pd.DataFrame, objectives: Sequence[Objective]) -> dict[str, Any]:
    """Return which trials are Pareto-optimal over all metrics that count in Delta_m, and a picture of two of them."""
    axes = counted(objectives)
    member = nondominated(costs(done, axes, "val"))
    on_front, others = done[member], done[~member]
    x, y = scatter_axes(objectives)
    drawn = pd.concat([runs.iloc[:: max(1, -(-len(runs) // MOST_POINTS))] for runs in (others, on_front)])
    columns = [x.of("val").column, y.of("val").column]
    return {
        "metrics": len(axes),
        "trials": len(done),
        "members": int(member.sum()),
        "by_method": dict(Counter(on_front["weighting"] + " " + on_front["optimizer"]).most_common()),
        "axes": [_axis(x), _axis(y)],
        "points": [
            {"name": name, "optimizer": optimizer, "x": x_value, "y": y_value, "member": is_member}
            for name, optimizer, x_value, y_value, is_member in zip(
                drawn["weighting"] + " " + drawn["optimizer"] + " lr=" + drawn["lr"].map("{:g}".format),
                drawn["optimizer"],
                drawn[columns[0]],
                drawn[columns[1]],
                drawn.index.isin(on_front.index),
                strict=True,
            )
            if pd.notna(x_value) and pd.notna(y_value)
        ],
    }


def _axis(objective: Objective) -> Mapping[str, Any]:
    return {"label": objective.label, "higher_is_better": objective.higher_is_better}
