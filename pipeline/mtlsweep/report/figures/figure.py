"""What a figure is: panels; the page arranges them to fit the screen, a file puts them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from xml.sax.saxutils import quoteattr

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from mtlsweep.report.style import COLOURS, DASHES, MARKS, MOST_NAMES, vega_config

_PANELS_IN_A_ROW = 3
_PANEL_WIDTH, _SINGLE_WIDTH, _LEGEND_WIDTH = 280, 620, 120  # of files, in pixels; on the page the screen decides


@dataclass(frozen=True)
class Figure:
    """Panels with one caption.

    Attributes:
        name: its file name and its anchor on the page.
        caption: one or two sentences: what is drawn, and how to read it.
        panels: charts without width or configuration.
        legend: names in the order of the palette, when all panels share their colours; a single
            panel brings a legend of its own.
        seen: what is to be seen in it, with figures, for those who do not see it.
    """

    name: str
    caption: str
    panels: tuple[alt.TopLevelMixin, ...]
    legend: tuple[str, ...] = ()
    seen: str = field(kw_only=True)

    @cached_property
    def specifications(self) -> list[dict[str, Any]]:
        """The Vega-Lite specification of each panel, without width or configuration."""
        with alt.data_transformers.disable_max_rows():
            specifications = [panel.to_dict() for panel in self.panels]
        return [{name: value for name, value in entry.items() if name != "config"} for entry in specifications]


def render(figure: Figure) -> dict[str, bytes]:
    """Return the figure as `png` (two pixels a point), `svg`, which has its text alternative, and `pdf`."""
    width = _SINGLE_WIDTH if len(figure.panels) == 1 else _PANEL_WIDTH
    datasets: dict[str, Any] = {}
    panels = []
    for specification in figure.specifications:
        datasets |= specification.get("datasets", {})
        panels.append(
            {name: value for name, value in specification.items() if name not in ("$schema", "datasets")}
            | {"width": width}
        )
    config = vega_config()
    config["legend"]["columns"] = width * min(len(panels), _PANELS_IN_A_ROW) // _LEGEND_WIDTH
    together: dict[str, Any] = {
        "$schema": figure.specifications[0]["$schema"],
        "config": config,
        "datasets": datasets,
    }
    together |= {"concat": panels, "columns": _PANELS_IN_A_ROW}
    if figure.legend:
        more = ("shape", "strokeDash") if COLOURS < len(figure.legend) <= MOST_NAMES else ()
        together["resolve"] = {"scale": dict.fromkeys(("color", *more), "shared")}
    svg = vl_convert.vegalite_to_svg(together)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label={quoteattr(figure.seen)} ', 1)
    return {"svg": svg.encode(), "png": vl_convert.svg_to_png(svg, scale=2), "pdf": vl_convert.svg_to_pdf(svg)}


def coloured(field: str, names: Sequence[str], second: str | None = None, title: str | None = None) -> dict[str, Any]:
    """Return the channels that tell the names in a field apart.

    Colour alone up to the size of the palette. Beyond, colours repeat, and a second channel tells those of one colour
    apart. More names than both can tell apart are drawn in one colour, and tooltips name them.

    Args:
        field: name of the column. names: its values, in order. title: of the legend, the field's name if None.
        second: `shape` for points and lines with points, `strokeDash` for lines, None for areas beside such marks.
    """
    order = list(names)
    if len(order) > MOST_NAMES:
        return {"detail": f"{field}:N"}
    title, turns = title or field, [position // COLOURS for position in range(len(order))]
    channels: dict[str, Any] = {
        "color": alt.Color(f"{field}:N", title=title, scale=alt.Scale(domain=order), sort=order)
    }
    if second and len(order) > COLOURS:
        channel, values = (alt.Shape, list(MARKS)) if second == "shape" else (alt.StrokeDash, list(DASHES))
        scale = alt.Scale(domain=order, range=[values[turn] for turn in turns])
        channels[second] = channel(f"{field}:N", title=title, scale=scale, sort=order)
    return channels


def upper_fence(values: pd.Series, shown: pd.Series | None = None, reach: float = 1.5) -> float:
    """Return where an axis may end: Tukey's upper fence, so that a few extreme values do not flatten the rest.

    Args:
        values: of which the fence is. shown: what is drawn (the same if None); the axis ends with it where that is lower.
        reach: of the fence beyond the third quartile, in ranges of the middle half.
    """
    finite = values[np.isfinite(values)]
    first, third = finite.quantile([0.25, 0.75])
    drawn = values if shown is None else shown
    return float(min(drawn[np.isfinite(drawn)].max(), third + reach * (third - first)))


def spans(data: pd.DataFrame, by: str, value: str, form: str = ".1f", names: Sequence[str] = ()) -> str:
    """Return the range of a column within each group, such as `adam 12.3 to 13.6, muon 3.0 to 4.0`; in the order of `names`."""
    ranges = data.dropna(subset=value).groupby(by, sort=False)[value].agg(["min", "max"])
    rows = ranges.loc[[name for name in names if name in ranges.index]] if names else ranges
    words = []
    for name, low, high in rows.itertuples():
        ends = list(dict.fromkeys((format(low, form), format(high, form))))
        words.append(f"{name} {' to '.join(ends)}")
    return ", ".join(words)


PANEL_HEIGHT, SINGLE_HEIGHT = 190, 340
BETTER_UP = "Δm % (up is better)"


def two_digits(*fields: str) -> list[alt.Tooltip]:
    """Return tooltips that show each field with two digits."""
    return [alt.Tooltip(f"{field}:Q", format=".2f") for field in fields]
