"""The page: one HTML file with its data, figures, styles and scripts inside; it asks no network for anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from pipeline.reporting import figures, tables
from pipeline.reporting.style import vega_config
from pipeline.reporting.suite_report import SuiteReport

_ASSETS = files("pipeline.reporting") / "assets"


def render_page(suites: Sequence[SuiteReport]) -> str:
    """Return the report on `suites` as one self-contained HTML document."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((_ASSETS / "page.html").read_text())
    specs: dict[str, Any] = {}
    return template.render(
        suites=[_suite_section(suite, specs) for suite in suites],
        css=Markup((_ASSETS / "page.css").read_text()),
        js=Markup((_ASSETS / "page.js").read_text()),
        vega=Markup(_script_safe(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))),
        figures_json=Markup(
            _script_safe(json.dumps({"specs": specs, "light": vega_config(), "dark": vega_config(dark=True)}, allow_nan=False))
        ),
    )


def _suite_section(suite: SuiteReport, specs: dict[str, Any]) -> dict[str, Any]:
    drawn = [
        ("scatter", figures.task_scatter(suite.analysis), "Every finished run on two tasks; dashed: the front of these two."),
        (
            "parallel",
            figures.parallel_coordinates(suite.analysis),
            "Every finished run over every metric, best on top; saturated: Pareto-optimal.",
        ),
    ]
    shown = []
    for name, chart, caption in drawn:
        identifier = f"{suite.name}-{name}"
        specs[identifier] = specification(chart)
        shown.append({"id": identifier, "caption": caption})
    return {
        "name": suite.name,
        "tables": [
            tables.results_table(suite.analysis),
            tables.counts_table(suite.analysis),
            tables.outcomes_table(suite.analysis),
        ],
        "figures": shown,
        "provenance": list(_flat(suite.provenance)),
    }


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart's Vega-Lite specification without the configuration, which page and files bring along."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    return spec


def _flat(provenance: dict[str, Any], prefix: str = "") -> Any:
    for key, value in provenance.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key} ")
        else:
            yield f"{prefix}{key}".replace("_", " "), value


def _script_safe(text: str) -> str:
    """Keep `text` from ending the script element that holds it."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
