"""Figures about methods: Delta_m between optimizers, over learning rates and epochs, weights, importance, compute.

Axes are turned so that up is better; colour is the optimizer unless the caption says otherwise.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from pipeline.analysis.fronts import hypervolume_growth
from pipeline.analysis.objectives import tasks_of
from pipeline.analysis.suite import SuiteAnalysis
from pipeline.reporting.figure import Figure, optimizer_colour
from pipeline.reporting.style import optimizer_order
from pipeline.reporting.table import time_unit

_PANEL_HEIGHT, _SINGLE_HEIGHT = 190, 340
_BETTER_UP = "Delta_m % (up is better)"


def slope(analysis: SuiteAnalysis) -> Figure | None:
    """Draw the selected Delta_m of each weighting from optimizer to optimizer."""
    data = analysis.results.dropna(subset="test_delta_m_mean")
    data = data[~data.duplicated(["weighting", "optimizer"], keep=False)]
    optimizers = optimizer_order(data["optimizer"])
    if len(optimizers) < 2:
        return None
    columns = ["weighting", "optimizer", "lr", "test_delta_m_mean", "test_delta_m_std", "seeds"]
    data = data[columns].astype({"seeds": float})
    highlight = alt.selection_point(fields=["weighting"], bind="legend")
    base = alt.Chart(data).encode(
        x=alt.X("optimizer:N", sort=optimizers, title=None, axis=alt.Axis(labelAngle=0), scale=alt.Scale(padding=0.25)),
        y=alt.Y("test_delta_m_mean:Q", title=_BETTER_UP, scale=alt.Scale(reverse=True, zero=False)),
        color=alt.Color("weighting:N", title="weighting"),
        opacity=alt.condition(highlight, alt.value(1.0), alt.value(0.15)),
        tooltip=["weighting", "optimizer", "lr", "seeds", *_two_digits("test_delta_m_mean", "test_delta_m_std")],
    )
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 4], opacity=0.6).encode(y="zero:Q")
    lines = base.mark_line(strokeWidth=2).encode(detail="weighting:N", order=alt.Order("order:Q"))
    lines = lines.transform_calculate(order=f"indexof({optimizers!r}, datum.optimizer)")
    points = (
        base.mark_point(filled=True, size=70).encode(shape=alt.Shape("weighting:N", legend=None)).add_params(highlight)
    )
    chart = (zero + lines + points).properties(height=_SINGLE_HEIGHT)
    caption = "Test Delta_m of each weighting at its selected learning rate, from optimizer to optimizer; colour is the weighting."
    return Figure(
        "slope", f"{caption} Dashed: single-task learning. Press a name in the legend to single it out.", (chart,)
    )


def learning_rates(analysis: SuiteAnalysis) -> Figure | None:
    """Draw validation Delta_m against the learning rate, a panel per weighting, with the spread over seeds."""
    trials = analysis.trials
    done = trials[(trials["role"] == "mtl") & (trials["outcome"] == "done")] if "val_delta_m" in trials else trials[:0]
    done = done[np.isfinite(done["val_delta_m"])] if len(done) else done
    if done.empty:
        return None
    by_rate = done.groupby(["weighting", "optimizer", "lr"], as_index=False)
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
            y=alt.Y("min:Q", scale=scale, title=_BETTER_UP), y2="max:Q"
        )
        line = base.mark_line(clip=True, point={"size": 40, "filled": True}).encode(
            y=alt.Y("mean:Q", scale=scale, title=_BETTER_UP),
            tooltip=["optimizer", "lr", "count", *_two_digits("mean", "min", "max")],
        )
        panels.append((band + line).properties(height=_PANEL_HEIGHT))
    caption = "Validation Delta_m against the learning rate: mean over seeds, band from best to worst seed; rates at which all diverged are absent."
    return Figure("learning_rates", caption + _leaving(data["mean"], limit), tuple(panels), tuple(optimizers))


def differences(analysis: SuiteAnalysis) -> Figure | None:
    """Draw paired differences between optimizers with their intervals, a panel per pair of optimizers."""
    table = analysis.comparisons
    table = table[table["question"].isin(["optimizer", "optimizer overall"]) & table["difference"].notna()]
    if table.empty:
        return None
    panels = []
    for (a, b), own in table.groupby(["a", "b"]):
        order = [*sorted(set(own["within"]) - {"all weightings"}), "all weightings"]
        y = alt.Y("within:N", sort=order, title=None)
        base = alt.Chart(own, title=f"{a} minus {b}").encode(y=y)
        rule = base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title=f"Delta_m points (left: {a} better)"), x2="high:Q"
        )
        point = base.mark_point(filled=True, size=70, opacity=1).encode(
            x="difference:Q",
            tooltip=["within", "pairs", *_two_digits("difference", "low", "high", "effect_size"), "p_holm", "note"],
        )
        zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 4], opacity=0.6).encode(x="zero:Q")
        panels.append((zero + rule + point).properties(height=_PANEL_HEIGHT))
    caption = "Difference in test Delta_m between optimizers, paired by seed, with 95 % intervals; the last row pairs by weighting."
    return Figure("differences", caption, tuple(panels))


def learning_curves(analysis: SuiteAnalysis) -> Figure | None:
    """Draw validation Delta_m over epochs of the selected cells, a panel per weighting."""
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
            y=alt.Y("low:Q", scale=scale, title=_BETTER_UP), y2="high:Q"
        )
        line = base.mark_line(clip=True).encode(
            y=alt.Y("mean:Q", scale=scale, title=_BETTER_UP),
            tooltip=["optimizer", "epoch", *_two_digits("mean", "std")],
        )
        panels.append((band + line).properties(height=_PANEL_HEIGHT))
    caption = (
        "Validation Delta_m over epochs at the selected learning rate: mean over seeds, band of one standard deviation."
    )
    return Figure("learning_curves", caption + _leaving(data["mean"], limit), tuple(panels), tuple(optimizers))


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
        panels.append(chart.properties(height=_PANEL_HEIGHT))
    styles = ", ".join(
        f"{name} {style}" for name, style in zip(optimizers, ("solid", "dashed", "dotted", "dash-dotted"), strict=False)
    )
    caption = (
        f"Mean effective weight on each task's gradient at the selected learning rate; colour is the task, {styles}."
    )
    return Figure("weights", caption, tuple(panels), tuple(tasks))


def hypervolume_against_compute(analysis: SuiteAnalysis, costs: pd.DataFrame | None) -> Figure | None:
    """Draw how much of the objective space each optimizer had covered after how much compute."""
    trials = analysis.trials
    done = trials[(trials["role"] == "mtl") & (trials["outcome"] == "done")]
    if costs is None or done.empty:
        return None
    timed = done.merge(costs[["trial_key", "seconds", "started"]], on="trial_key")
    timed = timed.assign(ended=timed["started"] + pd.to_timedelta(timed["seconds"], unit="s")).sort_values(
        ["ended", "trial_key"]
    )
    if len(timed) < 2:
        return None
    growth = hypervolume_growth(timed, analysis.objectives)
    unit, seconds = time_unit(timed["seconds"].sum())
    spent = timed.assign(
        compute=timed.groupby("optimizer")["seconds"].cumsum() / seconds, runs=timed.groupby("optimizer").cumcount() + 1
    )
    data = growth.merge(spent[["optimizer", "runs", "compute"]], on=["optimizer", "runs"])
    optimizers = optimizer_order(data["optimizer"])
    chart = alt.Chart(data).mark_line(interpolate="step-after", point={"size": 25, "filled": True}).encode(
        x=alt.X("compute:Q", title=f"{unit} of trials finished", axis=alt.Axis(grid=False)),
        y=alt.Y("hypervolume:Q", title="hypervolume (share of the box)"),
        color=optimizer_colour(optimizers),
        tooltip=["optimizer", "runs", alt.Tooltip("compute:Q", format=".3g", title=unit), alt.Tooltip("hypervolume:Q", format=".4f")],
    )  # fmt: skip
    caption = "Hypervolume of each optimizer's finished runs against the compute they took, in the order in which they finished."
    return Figure("hypervolume_compute", caption, (chart.properties(height=_SINGLE_HEIGHT),))


def importance(table: pd.DataFrame | None) -> Figure | None:
    """Draw how much of the variance of Delta_m each hyperparameter explains."""
    if table is None or table.empty:
        return None
    targets = list(dict.fromkeys(table["target"]))
    bar = alt.Chart(table).mark_bar().encode(
        x=alt.X("importance:Q", title="share of the variance explained", axis=alt.Axis(format="%")),
        y=alt.Y("hyperparameter:N", sort="-x", title=None),
        yOffset=alt.YOffset("target:N", sort=targets),
        color=alt.Color("target:N", scale=alt.Scale(domain=targets), sort=targets, title="of validation Delta_m"),
        tooltip=["hyperparameter", "target", alt.Tooltip("importance:Q", format=".1%")],
    )  # fmt: skip
    caption = "Importance of each hyperparameter in the Optuna study of all cells (fANOVA), for Delta_m over all tasks and for each task."
    return Figure("importance", caption, (bar.properties(height=_PANEL_HEIGHT),))


def _upper_fence(values: pd.Series) -> float:
    """Return where an axis may end: Tukey's upper fence, so that a few astray values do not flatten the rest."""
    finite = values[np.isfinite(values)]
    first, third = finite.quantile([0.25, 0.75])
    return float(min(finite.max(), third + 1.5 * (third - first)))


def _leaving(means: pd.Series, limit: float) -> str:
    """Say where lines end although their values go on."""
    return f" Lines leave the panel where Delta_m exceeds {limit:.0f} %." if means.max() > limit else ""


def _two_digits(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", format=".2f") for field in fields]
