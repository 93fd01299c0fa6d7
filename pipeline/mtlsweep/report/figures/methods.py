"""Figures about methods: Δm between optimizers, over learning rates and epochs, weights, importance, compute.

Axes are turned so that up is better; colour is the optimizer unless the caption says otherwise.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

from mtlsweep.analysis.conclusions.leads import PARTS
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures.figure import BETTER_UP, PANEL_HEIGHT, SINGLE_HEIGHT, Figure, coloured, spans, two_digits
from mtlsweep.report.style import optimizer_order


def slope(analysis: SuiteAnalysis) -> Figure | None:
    """Draw the selected Δm of each weighting from optimizer to optimizer."""
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
        y=alt.Y("test_delta_m_mean:Q", title=BETTER_UP, scale=alt.Scale(reverse=True, zero=False)),
        opacity=alt.condition(highlight, alt.value(1.0), alt.value(0.15)),
        tooltip=["weighting", "optimizer", "lr", "seeds", *two_digits("test_delta_m_mean", "test_delta_m_std")],
    )
    weightings = sorted(set(data["weighting"]))
    lines = base.mark_line(strokeWidth=2).encode(
        **coloured("weighting", weightings) | {"detail": "weighting:N"}, order=alt.Order("order:Q")
    )
    lines = lines.transform_calculate(order=f"indexof({optimizers!r}, datum.optimizer)")
    signs = {"shape": alt.Shape("weighting:N", legend=None)} | coloured("weighting", weightings, "shape")
    points = base.mark_point(filled=True, size=70).encode(**signs).add_params(highlight)
    chart = (_zero("y") + lines + points).properties(height=SINGLE_HEIGHT)
    caption = (
        "Test Δm of each weighting at its selected learning rate, from optimizer to optimizer; colour is the weighting."
    )
    caption += " Dashed: single-task learning. Press a name in the legend to single it out."
    seen = f"Lines of {len(weightings)} weightings; Δm in percent: {spans(data, 'optimizer', 'test_delta_m_mean', names=optimizers)}."
    return Figure("slope", caption, (chart,), seen=seen)


def leads(analysis: SuiteAnalysis) -> Figure | None:
    """Draw the two parts of each difference between optimizers, a panel per pair of optimizers."""
    words = {"difference": "multi-task training", "single_task": "of it single-task", "gap": "of it multi-task gap"}
    panels, seen = [], []
    for row in analysis.leads.to_dict("records"):
        data = pd.DataFrame([
            {"part": words[part], "points": row[part], "low": row[f"{part}_low"], "high": row[f"{part}_high"]} for part in PARTS
        ])  # fmt: skip
        title = f"{row['a']} minus {row['b']}"
        seen.append(f"{title}: {', '.join(f'{words[part]} {row[part]:.1f}' for part in PARTS)}.")
        base = alt.Chart(data, title=title).encode(y=alt.Y("part:N", sort=list(words.values()), title=None))
        rule = base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title=f"Δm points (left: {row['a']} better)"), x2="high:Q"
        )
        point = base.mark_point(filled=True, size=70, opacity=1).encode(
            x="points:Q", tooltip=["part", *two_digits("points", "low", "high")]
        )
        panels.append((_zero("x") + rule + point).properties(height=PANEL_HEIGHT / 2))
    if not panels:
        return None
    caption = (
        "Difference in test Δm between optimizers, mean over weightings, and its two parts: the difference in single-task training, "
        "and the difference of the gap between multi-task and single-task training. Intervals are over seeds, as in the table. An "
        "interval leaves out 0 where its part is separated from chance."
    )
    return Figure("leads", caption, tuple(panels), seen=" ".join(seen))


def _zero(channel: str) -> alt.Chart:
    return (
        alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 4], opacity=0.6).encode(**{channel: "zero:Q"})
    )


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
            x=alt.X("low:Q", title=f"Δm points (left: {a} better)"), x2="high:Q"
        )
        point = base.mark_point(filled=True, size=70, opacity=1).encode(
            x="difference:Q",
            tooltip=["within", "pairs", *two_digits("difference", "low", "high", "effect_size"), "p_holm", "note"],
        )
        panels.append((_zero("x") + rule + point).properties(height=PANEL_HEIGHT))
    caption = "Difference in test Δm between optimizers, paired by seed; the last row pairs by weighting. "
    caption += "Intervals are those of the table: where there is a test, one leaves out 0 exactly where Holm's correction finds a difference."
    named = table.assign(pair=table["a"] + " minus " + table["b"])
    seen = f"Differences in points over weightings: {spans(named, 'pair', 'difference')}."
    return Figure("differences", caption, tuple(panels), seen=seen)
