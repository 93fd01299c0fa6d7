"""One look for every figure: colours that colour-blind readers can tell apart, on paper and on a dark screen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Okabe and Ito's palette, then Tol's muted one; the dark variant has lighter blues and greys, to be visible on the dark background.
_LIGHT = [
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#8A6D00",
    "#56B4E9",
    "#5B4BB5",
    "#444444",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
]

_DARK = [
    "#56B4E9",
    "#FF9B57",
    "#2BD3A3",
    "#E8A5CB",
    "#F0E442",
    "#9AD5FF",
    "#B9AEFF",
    "#CCCCCC",
    "#D27BA0",
    "#7FD6C8",
    "#CFCF6B",
    "#D98CCB",
]

MARKS = {
    "circle": "M14 1.5a4.5 4.5 0 1 0 0.01 0Z",
    "square": "M10 2h8v8h-8Z",
    "triangle-up": "M14 1.5L18.5 10h-9Z",
    "diamond": "M14 1L18.5 6L14 11L9.5 6Z",
    "cross": "M12.5 1.5h3v3h3v3h-3v3h-3v-3h-3v-3h3Z",
    "triangle-down": "M14 10.5L9.5 2h9Z",
}
"""Vega's names of shapes, each with its outline in a box of 28 x 12."""

DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [12, 4], [2, 5])
"""Patterns of lines: solid first. Names beyond the palette repeat its colours with the next shape and the next pattern."""

COLOURS = len(_LIGHT)
MOST_NAMES = COLOURS * len(MARKS)
"""More names than colours and shapes together can tell apart have no colour at all."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
FIRST_OPTIMIZERS = ("adam", "sgd", "signsgd")  # these keep their colour in every suite and every report


def optimizer_order(optimizers: Iterable[str]) -> list[str]:
    """Return the optimizers in the order of their colours: the paper's three first, others by name."""
    present = set(optimizers)
    known = [name for name in FIRST_OPTIMIZERS if name in present]
    return known + sorted(present - set(known))


def palette(dark: bool = False) -> list[str]:
    """Return the colours of categories, in order."""
    return _DARK if dark else _LIGHT


def css_colours() -> str:
    """Return the palette as CSS variables `--colour-0`, ..., which follow the reader's choice of a light or dark screen."""
    light, dark = (
        "".join(f"--colour-{position}:{colour};" for position, colour in enumerate(palette(is_dark)))
        for is_dark in (False, True)
    )
    return f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"


def vega_config(dark: bool = False) -> dict[str, Any]:
    """Return the Vega-Lite configuration of all figures; the background is transparent, so that the page's colour is visible."""
    ink, faint = ("#e8e8e8", "#4a4f57") if dark else ("#1b1f24", "#dfe3e8")
    text = {"labelFont": _FONT, "titleFont": _FONT, "labelColor": ink, "titleColor": ink, "labelFontSize": 12}
    return {
        "background": "transparent" if dark else "white",
        "font": _FONT,
        "axis": text
        | {"gridColor": faint, "domainColor": ink, "tickColor": ink, "titleFontSize": 12, "titleFontWeight": 500},
        "legend": text
        | {
            "orient": "top",
            "titleFontSize": 12,
            "titleFontWeight": 500,
            "symbolSize": 120,
            "symbolOpacity": 1,
            "symbolStrokeWidth": 3,
            "labelLimit": 260,
        },
        "header": text,
        "title": {"font": _FONT, "color": ink, "fontSize": 14, "anchor": "start", "fontWeight": 600},
        "text": {"color": ink, "font": _FONT},
        "rule": {"color": ink},
        "view": {
            "stroke": None,
            "continuousWidth": 520,
            "continuousHeight": 320,
            "discreteWidth": 520,
            "discreteHeight": 320,
        },
        "mark": {"color": palette(dark)[0]},
        "range": {"category": palette(dark), "diverging": {"scheme": "blueorange"}},
    }
