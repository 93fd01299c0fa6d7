"""The page: one HTML file with its data, figures, styles and scripts inside; it needs no network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import vl_convert
from markupsafe import Markup

from mtlsweep.report.answer import answer
from mtlsweep.report.figures.figure import Figure
from mtlsweep.report.page.frame import ASSETS, page_css, template_environment
from mtlsweep.report.sections import Section
from mtlsweep.report.style import COLOURS, DASHES, MARKS, MOST_NAMES, vega_config
from mtlsweep.report.suite import SuiteReport
from mtlsweep.report.tables.suites import suites_table
from mtlsweep.report.tables.table import Table
from mtlsweep.report.tables.trials import repeat_table

_FIRST_TABLES = ("results", "leads", "paper")
"""Shown at once; other tables, and all figures but the overview, open on demand."""


def render_page(suites: Sequence[SuiteReport], sections: Sequence[Section] = ()) -> str:
    """Return the report on `suites`, and on studies without a suite, as one self-contained HTML document."""
    template = template_environment().get_template("page.html")
    specs: dict[str, Any] = {}
    shown = [_suite(suite, specs) for suite in suites]
    studies = [_section(section, section.name, specs) for section in sections]
    drawing = {"specs": specs, "light": vega_config(), "dark": vega_config(dark=True)}
    return template.render(
        suites=shown,
        studies=studies,
        side_by_side=suites_table((suite.name, suite.analysis) for suite in suites),
        title="mtlsweep report",
        css=Markup(page_css()),
        js=Markup((ASSETS / "page.js").read_text()),
        vega=Markup(_vega()),
        figures_json=Markup(json.dumps(drawing, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")),
    )


@cache
def _vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script; this takes seconds."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _suite(suite: SuiteReport, specs: dict[str, Any]) -> dict[str, Any]:
    figures = [_figure(figure, suite.name, specs) for figure in suite.figures]
    tables = [_table(table, suite.name) for table in suite.tables]
    return {
        "name": suite.name,
        "answer": answer(suite.analysis),
        "overview": None if suite.overview is None else _figure(suite.overview, suite.name, specs),
        "tables": [entry for entry in tables if entry["table"].name in _FIRST_TABLES],
        "more_tables": [entry for entry in tables if entry["table"].name not in _FIRST_TABLES],
        "figures": figures,
        "sections": [_section(section, f"{suite.name}/{section.name}", specs) for section in suite.sections],
        "repeat": repeat_table(suite.analysis) if (suite.analysis.trials["role"] == "stl").any() else None,
        "outcomes": suite.analysis.outcomes[["done", "diverged", "pruned", "failed"]].sum().to_dict(),
        "provenance": list(_flat(suite.provenance)),
    }


def _section(section: Section, folder: str, specs: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": folder.replace("/", "-"),
        "title": section.title,
        "sentences": section.sentences,
        "tables": [_table(table, folder) for table in section.tables],
        "figures": [_figure(figure, folder, specs) for figure in section.figures],
    }


def _figure(figure: Figure, folder: str, specs: dict[str, Any]) -> dict[str, Any]:
    panels = []
    for position, specification in enumerate(figure.specifications):
        identifier = f"{folder}-{figure.name}-{position}".replace("/", "-")
        specs[identifier] = specification | {"width": "container"}
        panels.append({"id": identifier, "height": specification.get("height", 300)})
    return {
        "title": _title(figure.caption),
        "panels": panels,
        "caption": figure.caption,
        "seen": figure.seen,
        "legend": _legend(figure.legend),
        "files": {suffix.upper(): f"figures/{folder}/{figure.name}.{suffix}" for suffix in ("png", "svg", "pdf")},
    }


def _legend(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the sign of each name; none where names are too many to be told apart."""
    marks = list(MARKS.values())
    return [
        {
            "name": name,
            "colour": position % COLOURS,
            "mark": marks[position // COLOURS],
            "dashes": ",".join(map(str, DASHES[position // COLOURS])),
            "signed": len(names) > COLOURS,
        }
        for position, name in enumerate(names if len(names) <= MOST_NAMES else ())
    ]


def _table(table: Table, folder: str) -> dict[str, Any]:
    names = {"CSV": "csv", "Parquet": "parquet", "LaTeX": "tex"}
    return {
        "table": table,
        "title": _title(table.caption),
        "folder": folder,
        "files": {word: f"tables/{folder}/{table.name}.{suffix}" for word, suffix in names.items()},
    }


def _title(caption: str) -> str:
    """Return the first clause of a caption, which names what is folded."""
    return re.split(r"[.:;](?:\s|$)", caption, maxsplit=1)[0]


def _flat(provenance: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in provenance.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key} ")
        else:
            yield f"{prefix}{key}".replace("_", " "), _worded(key, value)


def _worded(key: str, value: Any) -> Any:
    if key == "dirty":
        return f"yes, changes {value}" if value else "no"
    if key in ("started", "finished") and isinstance(value, float):
        return datetime.fromtimestamp(value, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return "not recorded" if value is None else value
