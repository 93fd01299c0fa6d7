"""What the page says about the share of the current gradient in the updates of each optimizer."""

from __future__ import annotations

from collections.abc import Iterator

import altair as alt
import pandas as pd

from mtlsweep.report.figures.figure import Figure, coloured, spans

CELL = ["weighting", "optimizer", "lr"]
_HEIGHT = 220


def shares_sentences(shares: pd.DataFrame) -> Iterator[str]:
    """Say, per cell, how much of an update the current gradient makes in the first and in the last epoch."""
    for (weighting, optimizer, lr), own in shares.groupby(CELL, sort=True):
        means = own.groupby("epoch")["mean"].mean()
        yield (
            f"While {weighting} with {optimizer} trains at learning rate {lr:g}, {100 * means.iloc[0]:.0f} % of an update come from "
            f"the current gradient in epoch {means.index[0]} and {100 * means.iloc[-1]:.0f} % in epoch {means.index[-1]}; the rest is "
            "what the optimizer remembers."
        )


def shares_figure(shares: pd.DataFrame) -> Figure | None:
    """Draw the share per epoch, a line for each cell; None if it was not measured."""
    if shares.empty:
        return None
    cells = shares["weighting"] + ", " + shares["optimizer"] + ", " + shares["lr"].map("{:g}".format)
    data = shares.assign(cell=cells).groupby(["cell", "epoch"], as_index=False)[["mean", "low", "high"]].mean()
    figures = ["mean", "low", "high"]
    data[figures] = data[figures].map(lambda value: float(f"{value:.4g}"))
    order = sorted(data["cell"].unique())
    base = alt.Chart(data).encode(
        x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, grid=False), scale=alt.Scale(zero=False, nice=False))
    )
    band = base.mark_area(opacity=0.12).encode(
        y=alt.Y("low:Q", title="share of the current gradient"), y2="high:Q", **coloured("cell", order)
    )
    line = base.mark_line(point={"size": 25, "filled": True}).encode(
        **coloured("cell", order, "shape"),
        y="mean:Q",
        tooltip=["cell", "epoch", *(alt.Tooltip(name, format=".3f") for name in figures)],
    )
    caption = (
        "Share of the current gradient in the updates of an epoch: <u - u0, u> / <u, u>, where u is the update and u0 the one that the "
        "optimizer would have made in the same state with a gradient of zero. 1: no memory; 1 - momentum: SGD under a constant "
        "gradient. Line: mean, band: 2.5 % to 97.5 %."
    )
    seen = f"Mean shares over epochs, from lowest to highest: {spans(data, 'cell', 'mean', '.0%', order)}."
    return Figure("shares", caption, ((band + line).properties(height=_HEIGHT),), seen=seen)
