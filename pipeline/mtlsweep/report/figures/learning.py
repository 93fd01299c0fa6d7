"""Figures over learning rates and epochs."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from mtlsweep.analysis.objectives import tasks_of
from mtlsweep.analysis.selection import best_at_each_rate, tuned_axes
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures.figure import BETTER_UP, PANEL_HEIGHT, Figure, coloured, spans, two_digits, upper_fence
from mtlsweep.report.style import COLOURS, DASHES, optimizer_order

_STYLES = ("solid", "dashed", "dotted", "dash-dotted")  # as `DASHES` begins


def learning_rates(analysis: SuiteAnalysis) -> Figure | None:
    """Draw validation Δm against the learning rate, a panel per weighting, with the spread over seeds."""
    trials = analysis.trials
    done = trials[(trials["role"] == "mtl") & (trials["outcome"] == "done")] if "val_delta_m" in trials else trials[:0]
    done = done[np.isfinite(done["val_delta_m"])] if len(done) else done
    if done.empty:
        return None
    by_rate = best_at_each_rate(done).groupby(["weighting", "optimizer", "lr"], as_index=False)
    data = by_rate["val_delta_m"].agg(["mean", "min", "max", "count"]).reset_index(drop=True)
    optimizers = optimizer_order(data["optimizer"])
    limit = upper_fence(data["mean"])
    x = alt.X(
        "lr:Q",
        title="learning rate",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(format="~g", tickCount=4, grid=False),
    )
    panels = []
    for weighting, own in data.groupby("weighting"):
        scale = alt.Scale(domain=[float(data["min"].min()), limit], reverse=True, zero=False)
        base = alt.Chart(own, title=str(weighting)).encode(x=x)
        band = base.mark_area(opacity=0.18, clip=True).encode(
            y=alt.Y("min:Q", scale=scale, title=BETTER_UP), y2="max:Q", **coloured("optimizer", optimizers)
        )
        line = base.mark_line(clip=True, point={"size": 40, "filled": True}).encode(
            y=alt.Y("mean:Q", scale=scale, title=BETTER_UP),
            **coloured("optimizer", optimizers, "shape"),
            tooltip=["optimizer", "lr", "count", *two_digits("mean", "min", "max")],
        )
        panels.append((band + line).properties(height=PANEL_HEIGHT))
    caption = "Validation Δm against the learning rate: mean over seeds, band from best to worst seed; rates at which all diverged are absent."
    caption += " Other axes have their best values." if tuned_axes(done) else ""
    best = data.loc[data.groupby(["weighting", "optimizer"])["mean"].idxmin()]
    seen = (
        f"Lowest mean of validation Δm in percent: {spans(best, 'optimizer', 'mean', names=optimizers)}; "
        f"at learning rates {spans(best, 'optimizer', 'lr', 'g', optimizers)}."
    )
    caption += _clipping_note(data["mean"], limit)
    return Figure("learning_rates", caption, tuple(panels), tuple(optimizers), seen=seen)


def learning_curves(analysis: SuiteAnalysis) -> Figure | None:
    """Draw validation Δm over epochs of the selected cells, a panel per weighting."""
    data = analysis.learning_curves
    data = data[data["quantity"] == "delta_m"] if len(data) else data
    if data.empty or data["epoch"].nunique() < 2:
        return None
    optimizers = optimizer_order(data["optimizer"])
    limit = upper_fence(data["mean"])
    data = data.assign(low=data["mean"] - data["std"].fillna(0), high=data["mean"] + data["std"].fillna(0))
    scale = alt.Scale(domain=[float(data["low"].min()), limit], reverse=True, zero=False)
    panels = []
    for weighting, own in data.groupby("weighting"):
        base = alt.Chart(own, title=str(weighting)).encode(x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, grid=False)))
        band = base.mark_area(opacity=0.18, clip=True).encode(
            y=alt.Y("low:Q", scale=scale, title=BETTER_UP), y2="high:Q", **coloured("optimizer", optimizers)
        )
        line = base.mark_line(clip=True).encode(
            y=alt.Y("mean:Q", scale=scale, title=BETTER_UP),
            **coloured("optimizer", optimizers, "strokeDash"),
            tooltip=["optimizer", "epoch", *two_digits("mean", "std")],
        )
        panels.append((band + line).properties(height=PANEL_HEIGHT))
    caption = (
        "Validation Δm over epochs at the selected learning rate: mean over seeds, band of one standard deviation."
    )
    caption += _clipping_note(data["mean"], limit)
    first, last = (data[data["epoch"] == epoch] for epoch in (data["epoch"].min(), data["epoch"].max()))
    seen = (
        f"Mean validation Δm in percent over weightings, first epoch: {spans(first, 'optimizer', 'mean', names=optimizers)}; "
        f"last epoch: {spans(last, 'optimizer', 'mean', names=optimizers)}."
    )
    return Figure("learning_curves", caption, tuple(panels), tuple(optimizers), seen=seen)


def weights(analysis: SuiteAnalysis) -> Figure | None:
    """Draw the effective weight of each task over epochs, a panel per weighting; colour is the task.

    With more optimizers than patterns of lines each has panels of its own; of more tasks than colours those whose
    weights move most are drawn.
    """
    data = analysis.learning_curves
    data = data[data["quantity"] == "weight"] if len(data) else data
    if data.empty or data["epoch"].nunique() < 2:
        return None
    tasks = [task for task in tasks_of(analysis.objectives) if task in set(data["task"])]
    moves = data.groupby("task")["mean"].agg(np.ptp).sort_values(ascending=False, kind="stable")
    shown = [task for task in tasks if task in moves.index[:COLOURS]]
    note = f" Of {len(tasks)} tasks the {COLOURS} whose weights move most." if len(shown) < len(tasks) else ""
    data = data[data["task"].isin(shown)]
    optimizers = optimizer_order(data["optimizer"])
    alone = len(optimizers) > len(_STYLES)
    dashes = alt.Scale(domain=optimizers, range=list(DASHES[: len(optimizers)]))
    panels = []
    for names, own in data.groupby(["weighting", "optimizer"] if alone else ["weighting"]):
        chart = alt.Chart(own, title=", ".join(map(str, names))).mark_line().encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y("mean:Q", title="weight on the task's gradient", scale=alt.Scale(zero=False)),
            **coloured("task", shown),
            **({} if alone else {"strokeDash": alt.StrokeDash("optimizer:N", scale=dashes, legend=None)}),
            tooltip=["optimizer", "task", "epoch", alt.Tooltip("mean:Q", format=".3g")],
        )  # fmt: skip
        panels.append(chart.properties(height=PANEL_HEIGHT))
    styles = "a panel per method" if alone else ", ".join(map(" ".join, zip(optimizers, _STYLES, strict=False)))
    caption = f"Mean effective weight on each task's gradient at the selected learning rate; colour is the task, {styles}.{note}"
    seen = f"Mean weights over epochs, from lowest to highest: {spans(data, 'task', 'mean', '.2f', shown)}."
    return Figure("weights", caption, tuple(panels), tuple(shown), seen=seen)


def _clipping_note(means: pd.Series, limit: float) -> str:
    """Say at which value lines are cut off."""
    return f" Lines leave the panel where Δm exceeds {limit:.0f} %." if means.max() > limit else ""
