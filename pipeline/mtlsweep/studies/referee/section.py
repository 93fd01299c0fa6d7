"""What the page says of the referee: is any weighting outside of what fixed weights attain?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from mtlsweep.record.tables.parquet import read_table
from mtlsweep.report.figures.figure import PANEL_HEIGHT, Figure, spans, two_digits
from mtlsweep.report.sections import Section, read_json
from mtlsweep.report.style import optimizer_order
from mtlsweep.report.tables.table import Table, names, numbers
from mtlsweep.studies.referee.attained import INSIDE, OUTSIDE, UNDECIDED
from mtlsweep.trials.metric_names import column_of, delta_m_of

VERDICTS = (INSIDE, UNDECIDED, OUTSIDE)
_WIDEST = 4.0  # an interval is drawn up to this many times the largest lead


def read(directory: Path) -> Section | None:
    """Return the study's section, from the tables under `directory`.

    Raises:
        UserError: a file of the study is missing or damaged.
    """
    about = read_json(directory / "about.json")
    if not about:  # not enabled
        return None
    return referee_section(
        read_table(directory / "verdicts.parquet"),
        read_table(directory / "fixed_weights.parquet"),
        read_table(directory / "surfaces.parquet"),
        about,
        _compute(directory),
    )


def referee_section(
    verdicts: pd.DataFrame, fixed: pd.DataFrame, surfaces: pd.DataFrame, about: Mapping[str, Any], compute: float | None
) -> Section | None:
    """Return the section of the study `referee`; None if no weighting was judged.

    Args:
        verdicts, fixed, surfaces: tables of the study.
        about: its tasks and margin.
        compute: seconds of the study's trials, divided by those of the sweep; None if unknown.
    """
    if verdicts.empty:
        return None
    tasks, margin = list(about["tasks"]), float(about["margin"])
    sentences = (*referee_sentences(verdicts, fixed, margin), _method_sentence(verdicts, margin, compute))
    tables = (verdicts_table(verdicts, margin), fixed_table(fixed, tasks))
    figures = (_leads(verdicts, margin), *_pairs(verdicts, fixed, surfaces))
    return Section("referee", "Fixed weights as referee", sentences, tables, figures)


def referee_sentences(verdicts: pd.DataFrame, fixed: pd.DataFrame, margin: float) -> Iterator[str]:
    """Say, per optimizer, which weightings fixed weights cannot replace, and what the best of both kinds reach."""
    for optimizer in optimizer_order(verdicts["optimizer"]):
        own = verdicts[verdicts["optimizer"] == optimizer].sort_values("lead", ascending=False)
        counts = own["verdict"].value_counts()
        outside = own[own["verdict"] == OUTSIDE]
        tried = int((fixed["optimizer"] == optimizer).sum())
        if outside.empty:
            yield (
                f"With {optimizer} none of {len(own)} weightings is shown to be better than {tried} fixed weights: "
                f"{counts.get(INSIDE, 0)} inside of what these attain, {counts.get(UNDECIDED, 0)} undecided."
            )
        else:
            found = " and ".join(
                f"{row['weighting']} (by {row['lead']:.1f} points in some task, at least {row['low']:.1f})"
                for row in outside.to_dict("records")
            )
            yield (
                f"With {optimizer} {found} {'is' if len(outside) == 1 else 'are'} outside of what {tried} fixed weights attain; of the "
                f"other {len(own) - len(outside)} weightings {counts.get(INSIDE, 0)} are inside and {counts.get(UNDECIDED, 0)} undecided."
            )
        yield _best_sentence(own, fixed[fixed["optimizer"] == optimizer])


def _best_sentence(own: pd.DataFrame, fixed: pd.DataFrame) -> str:
    """Compare in Δm what validation would choose on either side."""
    ours, theirs = (table.loc[table["val_delta_m"].idxmin()] for table in (own, fixed))
    equal = fixed[fixed["weighting"].str.partition("(")[0] == "ew"]
    beside = f", equal weights {equal['test_delta_m'].iloc[0]:+.2f} %" if len(equal) else ""
    return (
        f"Chosen on validation, the best weighting ({ours['weighting']}) has a test Δm of {ours['test_delta_m']:+.2f} %, the best fixed "
        f"weights {theirs['test_delta_m']:+.2f} %{beside}."
    )


def _method_sentence(verdicts: pd.DataFrame, margin: float, compute: float | None) -> str:
    seeds = int(verdicts["seeds"].min())
    few = " A single seed shows no noise, so nothing can be decided." if seeds < 2 else ""
    cost = "" if compute is None else f" Training them took {compute:.1f} times the seconds of the sweep's trials."
    return (
        f"Inside: some fixed weights, whose learning rate was searched in the same way, are at most {margin:g} points of Δm worse in every "
        f"task; outside: none are. At most one verdict in twenty is wrong; undecided ones need more seeds (now {seeds}).{few}{cost}"
    )


def verdicts_table(verdicts: pd.DataFrame, margin: float) -> Table:
    """Return a row per weighting and optimizer, the largest lead first."""
    ordered = verdicts.sort_values(["lead", "weighting", "optimizer"], ascending=[False, True, True], ignore_index=True)
    columns = (
        *names(ordered, "weighting", "optimizer"),
        numbers(ordered, "lr", "learning rate", "~"),
        numbers(ordered, "test_delta_m", "test Δm %", "+.2f"),
        numbers(ordered, "lead", "lead", "+.2f"),
        numbers(ordered, "low", "at least", "+.2f"),
        numbers(ordered, "high", "at most", "+.2f"),
        *names(ordered, "verdict", "nearest"),
    )
    caption = (
        "Lead: by how many points of Δm a weighting is better than the fixed weights that come nearest to it, in the task where it is "
        f"ahead most. Outside: at least {margin:g}; inside: at most {margin:g}. The two bounds make an interval of 95 %. It includes the "
        "noise of seeds, the choice of the learning rate among those with all seeds, and the choice of the nearest fixed weights."
    )
    return Table("verdicts", caption, columns, verdicts)


def fixed_table(fixed: pd.DataFrame, tasks: Sequence[str]) -> Table:
    """Return a row per fixed weights and optimizer, lowest validation Δm first."""
    ordered = fixed.sort_values(["val_delta_m", "optimizer", "weighting"], ignore_index=True)
    columns = (
        *names(ordered, "optimizer"),
        *(numbers(ordered, f"weight_{task}", f"weight of {task}", "~") for task in tasks),
        numbers(ordered, "lr", "learning rate", "~"),
        numbers(ordered, "val_delta_m", "validation Δm %", "+.2f"),
        numbers(ordered, "test_delta_m", "test Δm %", "+.2f"),
        *(numbers(ordered, column_of("test", delta_m_of(task)), f"{task}, test", "+.2f") for task in tasks),
    )
    caption = "Fixed weights at their selected learning rate. Weights sum to the number of tasks; equal weights are EW."
    return Table("fixed_weights", caption, columns, fixed)


def _leads(verdicts: pd.DataFrame, margin: float) -> Figure:
    """Draw the lead of each weighting with its bounds, a panel per optimizer."""
    reach = _WIDEST * max(float(verdicts["lead"].abs().max()), margin, 1e-6)
    panels = []
    for optimizer in optimizer_order(verdicts["optimizer"]):
        own = verdicts[verdicts["optimizer"] == optimizer].sort_values("lead", ascending=False)
        data = own[["weighting", "lead", "verdict", "nearest"]].assign(
            low=own["low"].clip(lower=-reach).fillna(-reach), high=own["high"].clip(upper=reach).fillna(reach)
        )
        base = alt.Chart(data, title=optimizer).encode(
            y=alt.Y("weighting:N", sort=list(data["weighting"]), title=None),
            color=alt.Color("verdict:N", title=None, scale=alt.Scale(domain=list(VERDICTS))),
        )
        rule = base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title="lead over fixed weights, points"), x2="high:Q"
        )
        point = base.mark_point(filled=True, size=70, opacity=1).encode(
            x="lead:Q", tooltip=["weighting", "verdict", "nearest", *two_digits("lead", "low", "high")]
        )
        line = (
            alt.Chart(pd.DataFrame({"margin": [margin]})).mark_rule(strokeDash=[4, 4], opacity=0.6).encode(x="margin:Q")
        )
        panels.append((line + rule + point).properties(height=max(PANEL_HEIGHT / 2, 22 * len(own))))
    caption = (
        "How far each weighting is outside of what fixed weights attain, with its bounds over seeds and search; dashed: the margin. "
        "Left of it fixed weights do as well in every task, right of it none do."
    )
    counts = verdicts.groupby("verdict")["weighting"].size()
    words = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    seen = f"{words}. Leads in points: {spans(verdicts, 'weighting', 'lead', '+.1f')}."
    return Figure("leads", caption, tuple(panels), VERDICTS, seen=seen)


def _pairs(verdicts: pd.DataFrame, fixed: pd.DataFrame, surfaces: pd.DataFrame) -> Iterator[Figure]:
    """Draw weightings on the attainment surfaces of the fixed weights, two tasks at a time."""
    panels = []
    for (x, y), pair in surfaces.groupby(["x", "y"], sort=False):
        for optimizer in optimizer_order(pair["optimizer"]):
            own, reference, surface = (table[table["optimizer"] == optimizer] for table in (verdicts, fixed, pair))
            panels.append(_pair(x, y, own, reference, surface, optimizer))
    if panels:
        caption = (
            "Test Δm of two tasks at a time, down and left is better. Grey: fixed weights, and the surface that they attain with half of the "
            "seeds (line) and with every seed (dotted); colour: weightings, by verdict, which is over all tasks."
        )
        tasks = dict.fromkeys([*surfaces["x"], *surfaces["y"]])
        columns = ((task, column_of("test", delta_m_of(task))) for task in tasks)
        seen = " ".join(f"{task}, Δm in percent: {spans(verdicts, 'weighting', column)}." for task, column in columns)
        yield Figure("attained", caption, tuple(panels), VERDICTS, seen=seen)


def _pair(
    x: str, y: str, verdicts: pd.DataFrame, fixed: pd.DataFrame, surface: pd.DataFrame, optimizer: str
) -> alt.LayerChart:
    columns = {column_of("test", delta_m_of(task)): axis for task, axis in ((x, "x"), (y, "y"))}
    own, reference = (table.rename(columns=columns) for table in (verdicts, fixed))
    shown = pd.concat([own[["x", "y"]], reference[["x", "y"]]])
    domains = {axis: _domain(shown[axis].to_numpy()) for axis in ("x", "y")}
    axes = {
        "x": alt.X(
            "x:Q", title=f"{x}, Δm %", scale=alt.Scale(domain=domains["x"], nice=False), axis=alt.Axis(grid=False)
        ),
        "y": alt.Y(
            "y:Q", title=f"{y}, Δm %", scale=alt.Scale(domain=domains["y"], nice=False), axis=alt.Axis(grid=False)
        ),
    }
    stairs = pd.concat([_stairs(part, domains).assign(level=level) for level, part in surface.groupby("level")])
    line = alt.Chart(stairs[stairs["level"] != "any seed"], title=optimizer).mark_line(
        interpolate="step-after", clip=True, strokeWidth=1.4, color="grey"
    ).encode(
        **axes, order="step:Q",
        strokeDash=alt.StrokeDash("level:N", scale=alt.Scale(domain=["half of the seeds", "every seed"], range=[[1, 0], [2, 3]]), legend=None),
    )  # fmt: skip
    grey = alt.Chart(reference[["weighting", "x", "y"]]).mark_point(filled=True, size=30, color="grey", clip=True).encode(
        **axes, tooltip=["weighting", *two_digits("x", "y")]
    )  # fmt: skip
    points = alt.Chart(own[["weighting", "verdict", "x", "y"]]).mark_point(filled=True, size=80, opacity=1, clip=True).encode(
        **axes, color=alt.Color("verdict:N", title=None, scale=alt.Scale(domain=list(VERDICTS))),
        tooltip=["weighting", "verdict", *two_digits("x", "y")],
    )  # fmt: skip
    return (line + grey + points).properties(height=PANEL_HEIGHT)


def _domain(values: np.ndarray) -> list[float]:
    """Return what a panel shows: the better three quarters of the points and some room, lest one bad point hide all others."""
    low, high = float(values.min()), float(np.quantile(values, 0.75))
    room = 0.15 * max(high - low, 0.1)
    return [low - room, high + 2 * room]


def _stairs(surface: pd.DataFrame, domains: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Return the corners of a surface, from the upper edge of the panel to its right edge."""
    ordered = surface.sort_values("x_value")
    x, y = ordered["x_value"].to_numpy(), ordered["y_value"].to_numpy()
    top, right = domains["y"][1], domains["x"][1]
    x, y = np.concatenate([x[:1], x, [max(right, x[-1])]]), np.concatenate([[max(top, y[0])], y, y[-1:]])
    return pd.DataFrame({"x": x, "y": y, "step": np.arange(len(x))})


def _compute(directory: Path) -> float | None:
    """Return the seconds of the study's own trials divided by those of the sweep, where costs were recorded."""
    costs, swept = directory.parent / "costs.parquet", directory.parent / "trials.parquet"
    if not (costs.exists() and swept.exists()):
        return None
    seconds = read_table(costs, ["trial_key", "seconds"]).set_index("trial_key")["seconds"]
    sweep = read_table(swept, ["trial_key", "role"]).query("role == 'mtl'")["trial_key"]
    own = read_table(directory / "trials.parquet", ["trial_key"])["trial_key"]
    whole = float(seconds.reindex(sweep).sum())
    return float(seconds.reindex(own[~own.isin(sweep)]).sum()) / whole if whole > 0 else None
