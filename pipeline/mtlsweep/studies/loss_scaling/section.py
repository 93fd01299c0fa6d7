"""What the page says about loss scaling: which updates depend on the scale of a loss, with the curves that show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import altair as alt
import pandas as pd

from mtlsweep.record.tables.parquet import read_table
from mtlsweep.report.figures.figure import Figure, spans
from mtlsweep.report.sections import Section, read_csv
from mtlsweep.report.tables.table import Table, names, numbers

METHOD = ["weighting", "optimizer"]

QUANTITIES = ("loss", "gradient norm", "update norm")
"""The three columns of a figure; the scaled losses have a figure of their own."""

_HEIGHT = 150


def read(directory: Path) -> Section:
    """Return the study's section, from the tables under `directory`.

    Raises:
        UserError: a file of the study is missing or damaged.
    """
    return loss_scaling_section(read_table(directory / "curves.parquet"), read_csv(directory / "verdicts.csv"))


def loss_scaling_section(curves: pd.DataFrame, verdicts: pd.DataFrame) -> Section:
    """Return the section of the experiment `loss_scaling`.

    Args:
        curves: weighting, optimizer, backbone, losses, epoch, quantity, part, value.
        verdicts: a row per weighting, optimizer, state of the backbone and part.
    """
    meaning = (
        "solid as they are, dashed with scaled losses; where a method is invariant the two coincide. A row per method"
    )
    figures = [
        _curves(curves, "free", QUANTITIES, "curves_free", f"Backbone free: {meaning}"),
        _curves(curves, "frozen", QUANTITIES, "curves_frozen", f"Backbone frozen: {meaning}"),
        _curves(
            curves, "free", ("scaled loss",), "scaled_losses",
            "What is trained on, backbone free: solid the losses as they are, dashed the losses times their scales. A panel per method",
        ),
    ]  # fmt: skip
    sentences = tuple(loss_scaling_sentences(verdicts))
    return Section("loss_scaling", "Loss scaling", sentences, (verdicts_table(verdicts),), tuple(figures))


def loss_scaling_sentences(verdicts: pd.DataFrame) -> Iterator[str]:
    """Say of each method what is invariant, and by how much the rest is not."""
    for (weighting, optimizer), own in verdicts.groupby(METHOD, sort=False):
        yield f"{weighting} with {optimizer}: {'; '.join(_state_sentence(state, of) for state, of in own.groupby('backbone', sort=False))}."
    plain = verdicts[
        (verdicts["backbone"] == "frozen")
        & verdicts["optimizer"].str.startswith("sgd")
        & (verdicts["weighting"] == "ew")
    ]
    for row in plain.itertuples():
        yield f"Under {row.optimizer} the first scaled update of {row.part} is {row.first_norm_ratio:.4g} times as long."


def _state_sentence(state: str, rows: pd.DataFrame) -> str:
    largest = rows["largest"].max()
    if rows["invariant"].all():
        return f"with a {state} backbone, every update is invariant (largest relative difference {largest:.1e})"
    moved = rows[~rows["invariant"]]
    words = f"with a {state} backbone, {_listed(moved['part'])} {'feels' if len(moved) == 1 else 'feel'} the scale"
    kept = moved[moved["first_invariant"]]["part"]
    first = f", {_listed(kept)} not yet at the first step" if len(kept) else ""
    return f"{words}{first} (relative difference up to {largest:.2g})"


def _listed(parts: pd.Series) -> str:
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else str(last)


def verdicts_table(verdicts: pd.DataFrame) -> Table:
    """Return the verdict on every part of every setting."""
    worded = verdicts.assign(
        first_step=verdicts["first_invariant"].map({True: "invariant", False: "no"}),
        verdict=verdicts["invariant"].map({True: "invariant", False: "no"}),
    )
    columns = (
        *names(worded, *METHOD, "backbone", "part"),
        numbers(worded, "first", "first step", ".1e"),
        numbers(worded, "median", "median", ".1e"),
        numbers(worded, "largest", "largest", ".1e"),
        numbers(worded, "first_norm_ratio", "length, scaled / unscaled", ".4g"),
        *names(worded, "first_step", "verdict"),
    )
    caption = (
        "Relative difference between the updates of a run with scaled losses and one without, from equal starts; `invariant` where it "
        "stays below the tolerance. Length: of the first scaled update, relative to the unscaled one."
    )
    return Table("verdicts", caption, columns, verdicts)


def _curves(curves: pd.DataFrame, state: str, quantities: tuple[str, ...], name: str, what: str) -> Figure:
    data = curves[(curves["backbone"] == state) & (curves["value"] > 0)]
    parts = list(dict.fromkeys(curves["part"]))
    panels = []
    for (weighting, optimizer), own in data.groupby(METHOD, sort=False):
        for quantity in quantities:
            panels.append(_panel(own[own["quantity"] == quantity], quantity, f"{weighting}, {optimizer}", parts))
    drawn = data[data["quantity"].isin(quantities)]
    drawn = drawn.assign(method=drawn["weighting"] + " with " + drawn["optimizer"] + ", " + drawn["losses"])
    seen = f"Values of {', '.join(quantities)} over epochs and parts, from lowest to highest: {spans(drawn, 'method', 'value', '.2g')}."
    return Figure(name, f"{what}; colour is the part of the network.", tuple(panels), tuple(parts), seen=seen)


def _panel(rows: pd.DataFrame, quantity: str, title: str, parts: list[str]) -> alt.Chart:
    data = rows[["losses", "epoch", "part", "value"]].assign(
        value=rows["value"].map(lambda value: float(f"{value:.4g}"))
    )
    return (
        alt.Chart(data, title=title)
        .mark_line(strokeWidth=1.6, interpolate="monotone")
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False)),
            y=alt.Y("value:Q", title=quantity, scale=alt.Scale(type="log"), axis=alt.Axis(format="~g", tickCount=4)),
            color=alt.Color("part:N", scale=alt.Scale(domain=parts), title=None),
            strokeDash=alt.StrokeDash(
                "losses:N", scale=alt.Scale(domain=["unscaled", "scaled"], range=[[1, 0], [5, 4]]), legend=None
            ),
            tooltip=["part", "losses", "epoch", alt.Tooltip("value", format=".3g")],
        )
        .properties(height=_HEIGHT)
    )
