"""Figures over learning rates and epochs."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from mtlsweep.analysis.objectives import tasks_of
from mtlsweep.analysis.selection import best_at_each_rate, tuned_axes
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures.figure import BETTER_UP, PANEL_HEIGHT, Figure, optimizer_colour, two_digits
from mtlsweep.report.style import optimizer_order


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
    limit = _upper_fence(data["mean"])
    x = alt.X(
        "lr:Q",
        title="learning rate",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(format="~g", tickCount=4, grid=False),
    )
    panels = []
    for weighting, own in data.groupby("weighting"):
        scale = alt.Scale(domain=[float(data["min"].min()), limit], reverse=True, zero=False)
        base = alt.Chart(own, title=str(weighting)).encode(x=x, color=optimizer_colour(optimizers))
        band = base.mark_area(opacity=0.18, clip=True).encode(
            y=alt.Y("min:Q", scale=scale, title=BETTER_UP), y2="max:Q"
        )
        line = base.mark_line(clip=True, point={"size": 40, "filled": True}).encode(
            y=alt.Y("mean:Q", scale=scale, title=BETTER_UP),
            tooltip=["optimizer", "lr", "count", *two_digits("mean", "min", "max")],
        )
        panels.append((band + line).properties(height=PANEL_HEIGHT))
    caption = "Validation Δm against the learning rate: mean over seeds, band from best to worst seed; rates at which all diverged are absent."
    caption += " Other axes have their best values." if tuned_axes(done) else ""
    return Figure("learning_rates", caption + _clipping_note(data["mean"], limit), tuple(panels), tuple(optimizers))


def learning_curves(analysis: SuiteAnalysis) -> Figure | None:
    """Draw validation Δm over epochs of the selected cells, a panel per weighting."""
    data = analysis.learning_curves
    data = data[data["quantity"] == "delta_m"] if len(data) else data
    if data.empty or data["epoch"].nunique() < 2:
        return None
    optimizers = optimizer_order(data["optimizer"])
    limit = _upper_fence(data["mean"])
    data = data.assign(low=data["mean"] - data["std"].fillna(0), high=data["mean"] + data["std"].fillna(0))
    scale = alt.Scale(domain=[float(data["low"].min()), limit], reverse=True, zero=False)
    panels = []
    for weighting, own in data.groupby("weighting"):
        base = alt.Chart(own, title=str(weighting)).encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, grid=False)), color=optimizer_colour(optimizers)
        )
        band = base.mark_area(opacity=0.18, clip=True).encode(
            y=alt.Y("low:Q", scale=scale, title=BETTER_UP), y2="high:Q"
        )
        line = base.mark_line(clip=True).encode(
            y=alt.Y("mean:Q", scale=scale, title=BETTER_UP),
            tooltip=["optimizer", "epoch", *two_digits("mean", "std")],
        )
        panels.append((band + line).properties(height=PANEL_HEIGHT))
    caption = (
        "Validation Δm over epochs at the selected learning rate: mean over seeds, band of one standard deviation."
    )
    return Figure("learning_curves", caption + _clipping_note(data["mean"], limit), tuple(panels), tuple(optimizers))


def weights(analysis: SuiteAnalysis) -> Figure | None:
    """Draw the effective weight of each task over epochs, a panel per weighting; colour is the task."""
    data = analysis.learning_curves
    data = data[data["quantity"] == "weight"] if len(data) else data
    if data.empty or data["epoch"].nunique() < 2:
        return None
    tasks = [task for task in tasks_of(analysis.objectives) if task in set(data["task"])]
    optimizers = optimizer_order(data["optimizer"])
    dashes = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]]
    panels = []
    for weighting, own in data.groupby("weighting"):
        chart = alt.Chart(own, title=str(weighting)).mark_line().encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y("mean:Q", title="weight on the task's gradient", scale=alt.Scale(zero=False)),
            color=alt.Color("task:N", scale=alt.Scale(domain=tasks), sort=tasks),
            strokeDash=alt.StrokeDash("optimizer:N", scale=alt.Scale(domain=optimizers, range=dashes[: len(optimizers)]), legend=None),
            tooltip=["optimizer", "task", "epoch", alt.Tooltip("mean:Q", format=".3g")],
        )  # fmt: skip
        panels.append(chart.properties(height=PANEL_HEIGHT))
    styles = ", ".join(
        f"{name} {style}" for name, style in zip(optimizers, ("solid", "dashed", "dotted", "dash-dotted"), strict=False)
    )
    caption = (
        f"Mean effective weight on each task's gradient at the selected learning rate; colour is the task, {styles}."
    )
    return Figure("weights", caption, tuple(panels), tuple(tasks))


def _upper_fence(values: pd.Series) -> float:
    """Return where an axis may end: Tukey's upper fence, so that a few extreme values do not flatten the rest."""
    finite = values[np.isfinite(values)]
    first, third = finite.quantile([0.25, 0.75])
    return float(min(finite.max(), third + 1.5 * (third - first)))


def _clipping_note(means: pd.Series, limit: float) -> str:
    """Say at which value lines are cut off."""
    return f" Lines leave the panel where Δm exceeds {limit:.0f} %." if means.max() > limit else ""
