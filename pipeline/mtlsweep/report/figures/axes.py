"""Figure over the values of tuned axes."""

from __future__ import annotations

from contextlib import suppress

import altair as alt
import numpy as np

from mtlsweep.analysis.selection import METHOD, tuned_axes
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures.figure import BETTER_UP, PANEL_HEIGHT, Figure, coloured, spans, two_digits
from mtlsweep.report.style import optimizer_order


def tuned_values(analysis: SuiteAnalysis) -> Figure | None:
    """Draw the best validation Δm at each value of each tuned axis, a panel per axis and weighting."""
    trials = analysis.trials
    done = trials[(trials["role"] == "mtl") & (trials["outcome"] == "done")]
    axes = tuned_axes(done)
    if not axes:
        return None
    done = done[np.isfinite(done["val_delta_m"])]
    optimizers = optimizer_order(done["optimizer"])
    panels, seen = [], []
    for axis in axes:
        cells = done.groupby([*METHOD, axis, "cell_key"], as_index=False)["val_delta_m"].mean()
        best = cells.groupby([*METHOD, axis], as_index=False)["val_delta_m"].min().rename(columns={axis: "value"})
        values = sorted(set(best["value"]), key=_in_order)
        seen.append(f"Best validation Δm in percent by {axis}: {spans(best, 'value', 'val_delta_m', names=values)}.")
        for weighting, own in best.groupby("weighting"):
            line = alt.Chart(own, title=str(weighting)).mark_line(point={"size": 40, "filled": True}).encode(
                x=alt.X("value:N", sort=values, title=axis, axis=alt.Axis(labelAngle=0, grid=False)),
                y=alt.Y("val_delta_m:Q", title=BETTER_UP, scale=alt.Scale(reverse=True, zero=False)),
                **coloured("optimizer", optimizers, "shape"),
                tooltip=["optimizer", "value", *two_digits("val_delta_m")],
            )  # fmt: skip
            panels.append(line.properties(height=PANEL_HEIGHT))
    caption = "Validation Δm at each value of a tuned axis, with the learning rate and the other axes at their best."
    return Figure("tuned_values", caption, tuple(panels), tuple(optimizers), seen=" ".join(seen))


def _in_order(value: str) -> tuple[float, str]:
    """Sort numbers by size, before other values."""
    with suppress(ValueError):
        return float(value), value
    return np.inf, value
