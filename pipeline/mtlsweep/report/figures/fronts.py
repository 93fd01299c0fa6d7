"""Figures about runs: parallel coordinates, pairwise fronts with attainment surfaces, and their differences."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from mtlsweep.analysis.fronts.attainment import LEVELS, axis_pairs
from mtlsweep.analysis.objectives import Objective
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures.figure import Figure, coloured, spans
from mtlsweep.report.style import COLOURS, optimizer_order

_MOST_DOMINATED = 1500  # more dominated runs than this make an unreadable figure and a slow page
PANEL_HEIGHT = 260
_LINES = "Lines: what any seed (solid), half of the seeds (dashed) and every seed (dotted) attains."
_TOO_MANY = "Lines of what seeds attain are left out, because lines of so many optimizers could not be told apart."


def _drawn_runs(analysis: SuiteAnalysis, members: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the runs of `members` with their Pareto marks, a sample of the dominated ones if they are too many, and a note about that."""
    runs = analysis.trials.merge(members[["trial_key", "full"]], on="trial_key", how="inner")
    dominated, optimal = runs[~runs["full"]], runs[runs["full"]]
    step = -(-len(dominated) // _MOST_DOMINATED)
    if step <= 1:
        return runs, ""
    return pd.concat([dominated.iloc[::step], optimal]), f" Of {len(dominated)} dominated runs one in {step} is drawn."


def parallel_coordinates(analysis: SuiteAnalysis) -> Figure | None:
    """Draw a line per finished run over the axes of fronts, best on top; Pareto-optimal runs saturated."""
    runs, note = _drawn_runs(analysis, analysis.raw_members)
    if runs.empty:
        return None
    long = pd.concat([_positions(runs, objective) for objective in analysis.axes], ignore_index=True)
    optimizers = optimizer_order(runs["optimizer"])
    order = [objective.label for objective in analysis.axes]
    single_out = alt.selection_point(fields=["optimizer"], bind="legend")
    base = alt.Chart(long).encode(
        x=alt.X("metric:N", sort=order, title=None, axis=alt.Axis(labelAngle=-25, grid=True, domain=False)),
        y=alt.Y(
            "position:Q", title="worst to best", axis=alt.Axis(labels=False, ticks=False, grid=False, domain=False)
        ),
        **coloured("optimizer", optimizers, "strokeDash") | {"detail": "trial_key:N"},
        tooltip=["weighting", "optimizer", "lr", "seed", "metric", alt.Tooltip("value:Q", format=".4g")],
    )
    faint = base.transform_filter("!datum.full").mark_line(strokeWidth=1)
    faint = faint.encode(opacity=alt.condition(single_out, alt.value(0.2), alt.value(0.02)))
    strong = base.transform_filter("datum.full").mark_line(strokeWidth=2.2)
    strong = strong.encode(opacity=alt.condition(single_out, alt.value(0.95), alt.value(0.05))).add_params(single_out)
    caption = (
        "Every finished run, each axis from the worst to the best value of a test metric; saturated: Pareto-optimal among all finished "
        f"runs over {analysis.axes_in_words}. Press a name in the legend to single it out.{note}"
    )
    seen = f"{len(runs)} runs over {', '.join(order)}; Pareto-optimal: {_optimal(runs, optimizers)}."
    return Figure("parallel_coordinates", caption, ((faint + strong).properties(height=340),), seen=seen)


def _optimal(runs: pd.DataFrame, optimizers: list[str]) -> str:
    counts = runs.groupby("optimizer", observed=True)["full"].agg(["sum", "size"])
    return ", ".join(
        f"{name} {counts.loc[name, 'sum']} of {counts.loc[name, 'size']}" for name in optimizers if name in counts.index
    )


def _positions(runs: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    value = runs[objective.of("test").column].to_numpy(dtype=float)
    finite = value[np.isfinite(value)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    position = (value - low) / (high - low if high > low else 1.0)
    table = runs[["trial_key", "weighting", "optimizer", "lr", "seed", "full"]].assign(
        metric=objective.label, value=value
    )
    return table.assign(position=position if objective.higher_is_better else 1.0 - position)


def pairwise_fronts(analysis: SuiteAnalysis, raw: bool = False) -> Figure | None:
    """Draw runs on two metrics at a time, with the surfaces that any, half and all seeds of an optimizer attain.

    Args:
        analysis: of the suite.
        raw: whether to draw all finished runs, if there are others than those of the selected cells.
    """
    if raw and not analysis.has_other_runs:
        return None
    members, attainment = (
        (analysis.raw_members, analysis.raw_attainment) if raw else (analysis.members, analysis.attainment)
    )
    runs, note = _drawn_runs(analysis, members)
    optimizers = optimizer_order(analysis.raw_members["optimizer"])
    panels = []
    for x, y in axis_pairs(analysis.objectives):
        surfaces = attainment[(attainment["x"] == x.name) & (attainment["y"] == y.name)]
        if len(surfaces):
            panels.append(_front_panel(runs, surfaces, x, y, optimizers))
    if not panels:
        return None
    caption = (
        f"{_runs_in_words(raw)} on two test metrics at a time, up and right is better; full points are Pareto-optimal among these runs "
        f"over {analysis.axes_in_words}. "
        f"{_LINES if len(optimizers) <= COLOURS else _TOO_MANY}{note}"
    )
    drawn = analysis.trials.merge(members[["trial_key", "full"]], on="trial_key")
    best = (f"{o.label} {_reached(drawn, o)}" for o in analysis.objectives)
    seen = f"{len(drawn)} runs; Pareto-optimal: {_optimal(drawn, optimizers)}. From worst to best: {', '.join(best)}."
    return Figure(_name("fronts", raw), caption, tuple(panels), tuple(optimizers), seen=seen)


def _reached(runs: pd.DataFrame, objective: Objective) -> str:
    values = runs[objective.of("test").column]
    ends = values[np.isfinite(values)].agg(["min", "max"])
    return " to ".join(f"{end:.3g}" for end in (ends if objective.higher_is_better else ends[::-1]))


def _front_panel(
    runs: pd.DataFrame, surfaces: pd.DataFrame, x: Objective, y: Objective, optimizers: list[str]
) -> alt.LayerChart | alt.Chart:
    """Show the region of the fronts; runs far below all of them lie outside the panel."""
    bounds = {axis: _bounds(surfaces[f"{axis}_value"], objective) for axis, objective in (("x", x), ("y", y))}
    stairs = pd.concat(
        [_staircase(own, bounds["x"][0], bounds["y"][0]).assign(optimizer=name, level=level)
         for (name, level), own in surfaces.groupby(["optimizer", "level"])]
    )  # fmt: skip
    axes = {
        "x": alt.X("x:Q", title=_axis_title(x), scale=_scale(bounds["x"], x), axis=alt.Axis(grid=False, tickCount=5)),
        "y": alt.Y("y:Q", title=_axis_title(y), scale=_scale(bounds["y"], y), axis=alt.Axis(grid=False, tickCount=5)),
    }
    data = runs[["weighting", "optimizer", "lr", "seed", "test_delta_m", "full"]].assign(
        x=runs[x.of("test").column], y=runs[y.of("test").column]
    )
    points = alt.Chart(data[np.isfinite(data["x"]) & np.isfinite(data["y"])]).mark_point(clip=True, filled=True, size=45).encode(
        **axes, **coloured("optimizer", optimizers, "shape"),
        opacity=alt.condition("datum.full", alt.value(1.0), alt.value(0.3)),
        tooltip=["weighting", "optimizer", "lr", "seed", alt.Tooltip("test_delta_m:Q", format=".2f", title="Δm %"), "x", "y"],
    )  # fmt: skip
    # Patterns of lines say how many seeds, so nothing could tell lines of one colour apart.
    if len(optimizers) > COLOURS:
        return points.properties(height=PANEL_HEIGHT)
    lines = alt.Chart(stairs).mark_line(interpolate="step-after", clip=True, strokeWidth=1.6).encode(
        **axes, **coloured("optimizer", optimizers), order="step:Q",
        strokeDash=alt.StrokeDash("level:N", scale=alt.Scale(domain=list(LEVELS), range=[[1, 0], [6, 3], [2, 3]]), legend=None),
    )  # fmt: skip
    return (points + lines).properties(height=PANEL_HEIGHT)


def _bounds(values: pd.Series, objective: Objective) -> tuple[float, float]:
    """Return the worst and the best value to show: the attainment surfaces with a margin."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    margin = 0.12 * (high - low) if high > low else 0.05 * max(abs(high), 1e-6)
    return (low - margin, high + margin) if objective.higher_is_better else (high + margin, low - margin)


def _staircase(surface: pd.DataFrame, worst_x: float, worst_y: float) -> pd.DataFrame:
    """Return the corners of an attainment surface, best x first, from and to the worst edges of the panel."""
    x, y = surface["x_value"].to_numpy(), surface["y_value"].to_numpy()
    x, y = np.concatenate([[x[0]], x, [worst_x]]), np.concatenate([[worst_y], y, [y[-1]]])
    return pd.DataFrame({"x": x, "y": y, "step": np.arange(len(x))})


def attainment_differences(analysis: SuiteAnalysis, raw: bool = False) -> Figure | None:
    """Draw where one optimizer attains goals in more of its seeds than another; see `pairwise_fronts`.

    Of more optimizers than colours nothing is drawn: rectangles have no second sign, and the panels would be hundreds.
    """
    attainment, table = (
        (analysis.raw_attainment, analysis.raw_attainment_differences)
        if raw
        else (analysis.attainment, analysis.attainment_differences)
    )
    optimizers = optimizer_order(analysis.raw_members["optimizer"])
    if (raw and not analysis.has_other_runs) or len(optimizers) > COLOURS:
        return None
    panels = []
    for x, y in axis_pairs(analysis.objectives):
        surfaces = attainment[(attainment["x"] == x.name) & (attainment["y"] == y.name)]
        own = table[(table["x"] == x.name) & (table["y"] == y.name)]
        scales = [_scale(_bounds(surfaces[f"{axis}_value"], o), o) for axis, o in (("x", x), ("y", y)) if len(own)]
        for (a, b), rectangles in own.groupby(["optimizer_a", "optimizer_b"]):
            ahead = rectangles.assign(
                optimizer=np.where(rectangles["difference"] > 0, a, b), share=rectangles["difference"].abs()
            )
            panel = alt.Chart(ahead, title=f"{a} against {b}").mark_rect(clip=True).encode(
                x=alt.X("x_from:Q", scale=scales[0], title=_axis_title(x), axis=alt.Axis(grid=False, tickCount=5)), x2="x_to:Q",
                y=alt.Y("y_from:Q", scale=scales[1], title=_axis_title(y), axis=alt.Axis(grid=False, tickCount=5)), y2="y_to:Q",
                **coloured("optimizer", optimizers), opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
                tooltip=["optimizer", alt.Tooltip("share:Q", format=".0%", title="in more of its seeds")],
            )  # fmt: skip
            panels.append(panel.properties(height=PANEL_HEIGHT))
    if not panels:
        return None
    caption = (
        f"{_runs_in_words(raw)}: goals (pairs of values to reach) that one optimizer attains in more of its seeds than the other. Full "
        "colour: one attains it in all seeds, the other in none."
    )
    ahead = table.assign(
        pair=table["optimizer_a"].where(table["difference"] > 0, table["optimizer_b"])
        + " ahead of "
        + table["optimizer_b"].where(table["difference"] > 0, table["optimizer_a"]),
        share=table["difference"].abs(),
    )
    seen = f"Share of seeds by which one is ahead, over all goals: {spans(ahead[ahead['share'] > 0], 'pair', 'share', '.0%')}."
    return Figure(_name("attainment_differences", raw), caption, tuple(panels), tuple(optimizers), seen=seen)


def _runs_in_words(raw: bool) -> str:
    return (
        "All finished runs (an optimizer may have more of them than another)" if raw else "Runs of the selected cells"
    )


def _name(figure: str, raw: bool) -> str:
    return f"raw_{figure}" if raw else figure


def _scale(bounds: tuple[float, float], objective: Objective) -> alt.Scale:
    return alt.Scale(domain=sorted(bounds), zero=False, nice=False, reverse=not objective.higher_is_better)


def _axis_title(objective: Objective) -> str:
    return f"{objective.label} ({'higher' if objective.higher_is_better else 'lower'} is better)"
