"""Figures of one suite. Each function takes tables and returns an Altair chart without data of its own making.

Axes are turned so that up (and right) is better. Colour is the optimizer, always the same one.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from pipeline.analysis.objectives import Objective, scatter_axes
from pipeline.analysis.pareto import costs, nondominated
from pipeline.analysis.suite import SuiteAnalysis
from pipeline.reporting.style import optimizer_order

_MOST_LINES = 1500  # parallel coordinates: more dominated runs than this are a grey sea and a slow page


def optimizer_colour(optimizers: list[str], title: str = "optimizer") -> alt.Color:
    """Return the colour channel shared by all figures."""
    return alt.Color("optimizer:N", title=title, scale=alt.Scale(domain=optimizers), sort=optimizers)


def finished_runs(analysis: SuiteAnalysis) -> pd.DataFrame:
    """Return the done multi-task trials with their Pareto marks."""
    done = analysis.trials[(analysis.trials["role"] == "mtl") & (analysis.trials["outcome"] == "done")]
    return done.merge(analysis.members[["trial_key", "full"]], on="trial_key", how="inner")


def task_scatter(analysis: SuiteAnalysis) -> alt.LayerChart:
    """Draw every finished run on the first metric of the first two tasks, with the front of these two."""
    x, y = scatter_axes(analysis.objectives)
    runs = finished_runs(analysis)
    data = runs[["weighting", "optimizer", "lr", "seed", "test_delta_m", "full"]].assign(
        x=runs[f"test_{x.name}"], y=runs[f"test_{y.name}"]
    )
    data = data[np.isfinite(data["x"]) & np.isfinite(data["y"])]
    optimizers = optimizer_order(data["optimizer"])
    front = data[nondominated(costs(data.rename(columns={"x": f"test_{x.name}", "y": f"test_{y.name}"}), [x, y]))]
    axes = {
        "x": alt.X("x:Q", title=_axis_title(x), scale=_better_up(x)),
        "y": alt.Y("y:Q", title=_axis_title(y), scale=_better_up(y)),
    }
    line = alt.Chart(front.sort_values("x")).mark_line(interpolate="linear", strokeDash=[5, 4], opacity=0.8).encode(
        **axes, color=alt.value("#888888")
    )  # fmt: skip
    tooltip = ["weighting", "optimizer", "lr", "seed", alt.Tooltip("test_delta_m", format=".2f", title="Delta_m %")]
    points = alt.Chart(data).mark_point(filled=True, size=60).encode(
        **axes, color=optimizer_colour(optimizers), tooltip=tooltip,
        opacity=alt.condition("datum.full", alt.value(1.0), alt.value(0.35)),
        shape=alt.Shape("optimizer:N", sort=optimizers, title="optimizer"),
    )  # fmt: skip
    return (line + points).properties(width="container", height=340)


def parallel_coordinates(analysis: SuiteAnalysis) -> alt.LayerChart:
    """Draw a line per finished run over all metrics, best on top; Pareto-optimal runs saturated."""
    runs = finished_runs(analysis)
    objectives = analysis.objectives
    dominated = runs[~runs["full"]]
    runs = pd.concat([dominated.iloc[:: max(1, -(-len(dominated) // _MOST_LINES))], runs[runs["full"]]])
    long = pd.concat([_positions(runs, objective) for objective in objectives], ignore_index=True)
    optimizers = optimizer_order(runs["optimizer"])
    order = [objective.label for objective in objectives]
    base = alt.Chart(long).encode(
        x=alt.X("metric:N", sort=order, title=None, axis=alt.Axis(labelAngle=-20, grid=True, domain=False)),
        y=alt.Y("position:Q", title="worst to best", axis=alt.Axis(labels=False, ticks=False, grid=False)),
        detail="trial_key:N",
        tooltip=["weighting", "optimizer", "lr", "seed", "metric", alt.Tooltip("value", format=".4g")],
    )
    faint = base.transform_filter("!datum.full").mark_line(strokeWidth=1, opacity=0.22)
    strong = base.transform_filter("datum.full").mark_line(strokeWidth=2.2, opacity=0.95)
    colour = optimizer_colour(optimizers)
    return (faint.encode(color=colour) + strong.encode(color=colour)).properties(width="container", height=320)


def _positions(runs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    value = runs[f"test_{objective.name}"].to_numpy(dtype=float)
    finite = value[np.isfinite(value)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    position = (value - low) / (high - low if high > low else 1.0)
    table = runs[["trial_key", "weighting", "optimizer", "lr", "seed", "full"]].assign(metric=objective.label, value=value)
    return table.assign(position=position if objective.higher_is_better else 1.0 - position)


def _better_up(objective: Objective) -> alt.Scale:
    return alt.Scale(zero=False, nice=True, reverse=not objective.higher_is_better)


def _axis_title(objective: Objective) -> str:
    return f"{objective.label} ({'higher' if objective.higher_is_better else 'lower'} is better)"
