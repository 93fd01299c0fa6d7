"""The figure of the first screen: every method with its interval, against single-task learning."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from mtlsweep.analysis.selection import METHOD
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures.figure import Figure, coloured, spans, two_digits, upper_fence
from mtlsweep.report.style import optimizer_order
from mtlsweep.trials.metric_names import DELTA_M, column_of

MOST_METHODS = 20
_ROW_HEIGHT, _LEAST_HEIGHT = 18, 90


def overview(analysis: SuiteAnalysis) -> Figure | None:
    """Draw test Δm of the methods with intervals, best on validation first; None where there is no method with a figure.

    Of many methods the best are drawn, and the best of each optimizer.
    """
    rows = _rows(analysis)
    if rows.empty:
        return None
    first = ~rows.duplicated("optimizer")
    data = pd.concat([rows[first], rows[~first]]).head(MOST_METHODS).sort_index()
    optimizers = optimizer_order(data["optimizer"])
    limit = upper_fence(data["delta_m"], data["high"].fillna(data["delta_m"]), reach=3.0)
    low = min(0.0, float(data["low"].fillna(data["delta_m"]).min()))
    room = 0.02 * (limit - low)
    edge = limit + room
    scale = alt.Scale(domain=[low - room, edge], nice=False, zero=False)
    base = alt.Chart(data).encode(
        y=alt.Y(
            "method:N", sort=list(data["method"]), title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=190)
        )
    )
    axis = alt.Axis(tickCount=8)  # more labels than that run into each other
    x = alt.X("delta_m:Q", scale=scale, title="Δm % on test (left is better)", axis=axis)
    rules = base.mark_rule(strokeWidth=2, clip=True).encode(
        x=alt.X("low:Q", scale=scale), x2="high:Q", **coloured("optimizer", optimizers)
    )
    points = base.mark_point(clip=True, size=80, opacity=1, strokeWidth=2).encode(
        x=x,
        **coloured("optimizer", optimizers, "shape"),
        fillOpacity=alt.condition("datum.pareto", alt.value(1.0), alt.value(0.0)),
        tooltip=["weighting", "optimizer", "lr", "seeds", *two_digits("delta_m", "low", "high")],
    )
    points = points.encode(fill=points.encoding.color)
    beyond = base.transform_filter(alt.datum.delta_m > limit).mark_text(align="right", dx=-4).encode(
        x=alt.value("width"), text=alt.Text("delta_m:Q", format="+.0f")
    )  # fmt: skip
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 4]).encode(x=alt.X("zero:Q", scale=scale))
    layers = zero + rules + points + beyond
    if _goes_on(data, limit, edge).any():  # a layer without a mark would be a picture without a text alternative
        arrows = base.transform_filter((alt.datum.high > edge) & (alt.datum.delta_m <= limit)).mark_point(
            shape="triangle-right", filled=True, size=60, opacity=1
        )
        layers += arrows.encode(x=alt.value("width"), **coloured("optimizer", optimizers))
    chart = layers.properties(height=max(_LEAST_HEIGHT, _ROW_HEIGHT * len(data)))
    return Figure("methods", _caption(data, rows, limit, edge), (chart,), seen=_seen(data, optimizers))


def _goes_on(data: pd.DataFrame, limit: float, edge: float) -> pd.Series:
    """Return of which methods the interval goes on beyond the edge, though the figure does not."""
    return (data["high"] > edge) & (data["delta_m"] <= limit)


def _rows(analysis: SuiteAnalysis) -> pd.DataFrame:
    """Return method, delta_m, low, high and `pareto` of every method: whether one of its runs is Pareto-optimal."""
    results = analysis.results.dropna(subset="test_delta_m_mean").reset_index(drop=True)
    optimal = analysis.trials.merge(analysis.members.loc[analysis.members["full"], ["trial_key"]], on="trial_key")
    test = column_of("test", DELTA_M)
    ends = {end: results[f"{test}_search_{end}"].fillna(results[f"{test}_{end}"]) for end in ("low", "high")}
    name = results["weighting"] + " · " + results["optimizer"]
    repeated = results.duplicated(METHOD, keep=False)
    if repeated.any():
        name = name.where(~repeated, name + ", " + results["lr"].map("{:g}".format))
    return results[[*METHOD, "lr"]].assign(
        method=name,
        delta_m=results["test_delta_m_mean"],
        **ends,
        seeds=results["seeds"].astype(float),
        searched=results["test_delta_m_search_low"].notna(),
        pareto=results["cell_key"].isin(optimal["cell_key"]),
    )


def _caption(data: pd.DataFrame, rows: pd.DataFrame, limit: float, edge: float) -> str:
    order = (
        "best on validation first" if len(data) == len(rows) else f"the {len(data)} best of {len(rows)} on validation"
    )
    known = data["low"].notna()
    interval = "95 % interval, search included" if data.loc[known, "searched"].all() else "95 % interval over seeds"
    words = [
        f"Methods at their selected learning rates, {order}; dashed: single-task learning.",
        "Full: has Pareto-optimal runs.",
        f"Line: {interval}." if known.any() else "One seed: no intervals.",
    ]
    if (data["delta_m"] > limit).any():
        words.append("A figure at the right edge: Δm beyond it.")
    if _goes_on(data, limit, edge).any():
        words.append("Arrow: the interval goes on beyond the edge.")
    return " ".join(words)


def _seen(data: pd.DataFrame, optimizers: list[str]) -> str:
    best = data.iloc[0]
    interval = f" ({best['low']:.1f} to {best['high']:.1f})" if np.isfinite(best["low"]) else ""
    optimal = ", ".join(data.loc[data["pareto"], "method"]) or "none"
    return (
        f"{len(data)} methods on an axis of test Δm in percent, single-task learning at 0. First: {best['method']} at "
        f"{best['delta_m']:.1f}{interval}. By optimizer: {spans(data, 'optimizer', 'delta_m', names=optimizers)}. "
        f"With Pareto-optimal runs: {optimal}."
    )
