"""What a figure is: panels that the page lays out as the screen allows and a file sets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from pipeline.reporting.style import vega_config

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


def specifications(figure: Figure) -> list[dict[str, Any]]:
    """Return the Vega-Lite specification of each panel, as wide as the page gives it room."""
    return [_specification(panel) | {"width": "container"} for panel in figure.panels]


def _specification(panel: alt.TopLevelMixin) -> dict[str, Any]:
    with alt.data_transformers.disable_max_rows():
        specification: dict[str, Any] = panel.to_dict()
    specification.pop("config", None)
    return specification


def render(figure: Figure) -> dict[str, bytes]:
    """Return the figure as `png` (two pixels a point), `svg` and `pdf`."""
    width = _SINGLE_WIDTH if len(figure.panels) == 1 else _PANEL_WIDTH
    panels = [_specification(panel) | {"width": width} for panel in figure.panels]
    together = {"$schema": panels[0]["$schema"], "config": vega_config()}
    datasets: dict[str, Any] = {}
    for panel in panels:
        datasets |= panel.pop("datasets", {})
        panel.pop("$schema")
    together |= {"concat": panels, "columns": _PANELS_IN_A_ROW, "datasets": datasets}
    if figure.legend:
        together["resolve"] = {"scale": {"color": "shared"}}
    svg = vl_convert.vegalite_to_svg(together)
    return {"svg": svg.encode(), "png": vl_convert.svg_to_png(svg, scale=2), "pdf": vl_convert.svg_to_pdf(svg)}


def optimizer_colour(optimizers: Sequence[str]) -> alt.Color:
    """Return the colour channel of figures in which colour is the optimizer."""
    return alt.Color("optimizer:N", title="optimizer", scale=alt.Scale(domain=list(optimizers)), sort=list(optimizers))
