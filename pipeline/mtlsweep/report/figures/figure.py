"""What a figure is: panels; the page arranges them to fit the screen, a file puts them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import altair as alt
import vl_convert

from mtlsweep.report.style import vega_config

_PANELS_IN_A_ROW = 3
_PANEL_WIDTH, _SINGLE_WIDTH = 280, 620  # of files, in pixels; on the page the screen decides


@dataclass(frozen=True)
class Figure:
    """Panels with one caption.

    Attributes:
        name: its file name and its anchor on the page.
        caption: one or two sentences: what is drawn, and how to read it.
        panels: charts without width or configuration.
        legend: names in the order of the palette, when all panels share their colours; a single
            panel brings a legend of its own.
    """

    name: str
    caption: str
    panels: tuple[alt.TopLevelMixin, ...]
    legend: tuple[str, ...] = ()

    @cached_property
    def specifications(self) -> list[dict[str, Any]]:
        """The Vega-Lite specification of each panel, without width or configuration."""
        with alt.data_transformers.disable_max_rows():
            specifications = [panel.to_dict() for panel in self.panels]
        return [{name: value for name, value in entry.items() if name != "config"} for entry in specifications]


def render(figure: Figure) -> dict[str, bytes]:
    """Return the figure as `png` (two pixels a point), `svg` and `pdf`."""
    width = _SINGLE_WIDTH if len(figure.panels) == 1 else _PANEL_WIDTH
    datasets: dict[str, Any] = {}
    panels = []
    for specification in figure.specifications:
        datasets |= specification.get("datasets", {})
        panels.append(
            {name: value for name, value in specification.items() if name not in ("$schema", "datasets")}
            | {"width": width}
        )
    together: dict[str, Any] = {
        "$schema": figure.specifications[0]["$schema"],
        "config": vega_config(),
        "datasets": datasets,
    }
    together |= {"concat": panels, "columns": _PANELS_IN_A_ROW}
    if figure.legend:
        together["resolve"] = {"scale": {"color": "shared"}}
    svg = vl_convert.vegalite_to_svg(together)
    return {"svg": svg.encode(), "png": vl_convert.svg_to_png(svg, scale=2), "pdf": vl_convert.svg_to_pdf(svg)}


def optimizer_colour(optimizers: Sequence[str]) -> alt.Color:
    """Return the colour channel of figures in which colour is the optimizer."""
    return alt.Color("optimizer:N", title="optimizer", scale=alt.Scale(domain=list(optimizers)), sort=list(optimizers))


PANEL_HEIGHT, SINGLE_HEIGHT = 190, 340
BETTER_UP = "Δm % (up is better)"


def two_digits(*fields: str) -> list[alt.Tooltip]:
    """Return tooltips that show each field with two digits."""
    return [alt.Tooltip(f"{field}:Q", format=".2f") for field in fields]
