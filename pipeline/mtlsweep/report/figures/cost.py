"""Figures about compute: hypervolume against epochs, and which hyperparameter matters."""

from __future__ import annotations

import altair as alt
import pandas as pd

from mtlsweep.analysis.fronts.hypervolume import hypervolume_growth
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures.figure import PANEL_HEIGHT, SINGLE_HEIGHT, Figure, coloured, spans
from mtlsweep.report.style import optimizer_order
from mtlsweep.report.tables.table import time_unit


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
    growth = hypervolume_growth(timed, analysis.axes)
    unit, seconds = time_unit(timed["seconds"].sum())
    spent = timed.assign(
        compute=timed.groupby("optimizer")["seconds"].cumsum() / seconds, runs=timed.groupby("optimizer").cumcount() + 1
    )
    data = growth.merge(spent[["optimizer", "runs", "compute"]], on=["optimizer", "runs"])
    optimizers = optimizer_order(data["optimizer"])
    chart = alt.Chart(data).mark_line(interpolate="step-after", point={"size": 25, "filled": True}).encode(
        x=alt.X("compute:Q", title=f"{unit} of trials finished", axis=alt.Axis(grid=False)),
        y=alt.Y("hypervolume:Q", title="hypervolume (share of the box)"),
        **coloured("optimizer", optimizers, "shape"),
        tooltip=["optimizer", "runs", alt.Tooltip("compute:Q", format=".3g", title=unit), alt.Tooltip("hypervolume:Q", format=".4f")],
    )  # fmt: skip
    caption = "Hypervolume of each optimizer's finished runs against the compute they took, in the order in which they finished."
    last = data.sort_values("runs").groupby("optimizer", as_index=False).tail(1)
    seen = (
        f"In the end {spans(last, 'optimizer', 'hypervolume', '.3f', optimizers)} of the box, after "
        f"{spans(last, 'optimizer', 'compute', '.3g', optimizers)} {unit}."
    )
    return Figure("hypervolume_compute", caption, (chart.properties(height=SINGLE_HEIGHT),), seen=seen)


def importance(table: pd.DataFrame | None) -> Figure | None:
    """Draw how much of the variance of Δm each hyperparameter explains."""
    if table is None or table.empty:
        return None
    targets = list(dict.fromkeys(table["target"]))
    bar = alt.Chart(table).mark_bar().encode(
        x=alt.X("importance:Q", title="share of the variance explained", axis=alt.Axis(format="%")),
        y=alt.Y("hyperparameter:N", sort="-x", title=None),
        yOffset=alt.YOffset("target:N", sort=targets),
        color=alt.Color("target:N", scale=alt.Scale(domain=targets), sort=targets, title="of validation Δm"),
        tooltip=["hyperparameter", "target", alt.Tooltip("importance:Q", format=".1%")],
    )  # fmt: skip
    caption = "Importance of each hyperparameter in the Optuna study of all cells (fANOVA), for Δm over all tasks and for each task."
    overall = table[table["target"] == targets[0]].sort_values("importance", ascending=False)
    seen = f"Of the variance of {targets[0]}: {spans(overall, 'hyperparameter', 'importance', '.0%')}."
    return Figure("importance", caption, (bar.properties(height=PANEL_HEIGHT),), seen=seen)
