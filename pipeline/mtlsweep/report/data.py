"""The page's section on data without images: what its columns hold. Images have a contact sheet instead."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import pandas as pd

from mtlsweep.report.figures.figure import PANEL_HEIGHT, Figure
from mtlsweep.report.sections import Section, read_json
from mtlsweep.report.tables.table import from_frame

FILE = "columns.json"
MOST_PANELS = 24


def data_section(prepared: Path) -> Section | None:
    """Return a table and histograms of the columns of prepared data; None where there is no summary of them.

    Args:
        prepared: directory of the suite's prepared data.

    Raises:
        UserError: the summary is damaged.
    """
    if not (prepared / FILE).exists():
        return None
    entries = read_json(prepared / FILE)
    frame = pd.DataFrame(entries)
    table = from_frame(
        "columns",
        "Every column over the training split, as prepared: quantities of a table are standardised, categories counted from 0.",
        frame.drop(columns="histogram"),
    )
    shown = [entry for entry in entries if entry["histogram"]][:MOST_PANELS]
    sentences = [f"{len(entries)} columns of inputs and targets; {frame['values'].max()} values in the longest."]
    if len(shown) < len(entries):
        sentences.append(f"Histograms of the first {len(shown)}; the table has all.")
    histograms = Figure(
        "histograms",
        "How often each value of a column occurs in the training split.",
        tuple(_histogram(entry["feature"] or entry["column"], entry["histogram"]) for entry in shown),
        seen=f"Histograms of {', '.join(entry['feature'] or entry['column'] for entry in shown)}.",
    )
    return Section("data", "The data", tuple(sentences), (table,), (histograms,) if shown else ())


def _histogram(name: str, bins: list[list[float]]) -> alt.Chart:
    data = pd.DataFrame(bins, columns=["low", "high", "rows"])
    return alt.Chart(data).mark_bar(binSpacing=0).encode(
        x=alt.X("low:Q", title=name, bin="binned", scale=alt.Scale(zero=False)),
        x2="high:Q",
        y=alt.Y("rows:Q", title="rows"),
        tooltip=[alt.Tooltip("low:Q", format=".4g"), alt.Tooltip("high:Q", format=".4g"), "rows:Q"],
    ).properties(height=PANEL_HEIGHT)  # fmt: skip
