"""The files that a study of one's own leaves for the page."""

from __future__ import annotations

import json
from pathlib import Path

import altair as alt
import pandas as pd


def write_section(directory: Path) -> None:
    """Write a section with a sentence, a table and a figure."""
    directory.mkdir(parents=True)
    pd.DataFrame({"method": ["ew"], "iterations": [22]}).to_csv(directory / "iterations.csv", index=False)
    chart = alt.Chart(pd.DataFrame({"x": [1, 2], "y": [3, 4]})).mark_line().encode(x="x", y="y").properties(height=200)
    (directory / "loss.json").write_text(chart.to_json())
    content = {
        "title": "Toy problem",
        "sentences": ["Adam with EW needs 22 iterations."],
        "tables": [{"name": "iterations", "caption": "Iterations.", "file": "iterations.csv"}],
        "figures": [{"name": "loss", "caption": "Loss.", "file": "loss.json", "alt": "Falls from 3 to 1."}],
    }
    (directory / "section.json").write_text(json.dumps(content))
