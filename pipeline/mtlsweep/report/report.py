"""The whole report: the page, and beside it every figure and table as a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mtlsweep.files import write_atomically
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.report.figures.figure import Figure, render
from mtlsweep.report.page.page import render_page
from mtlsweep.report.sections import Section
from mtlsweep.report.suite import SuiteReport
from mtlsweep.report.tables.latex import to_latex
from mtlsweep.report.tables.suites import suites_table
from mtlsweep.report.tables.table import Table

PAGE = "index.html"


def write_report(suites: Sequence[SuiteReport], directory: Path, sections: Sequence[Section] = ()) -> Path:
    """Write `index.html`, `figures/<suite>/<figure>.{png,svg,pdf}` and `tables/<suite>/<table>.{csv,parquet,tex}`.

    Args:
        suites: what is reported on.
        directory: where to write; files of the same name are replaced.
        sections: studies that belong to no suite.

    Returns:
        The path of the page.
    """
    for suite in suites:
        figures = [figure for figure in (suite.overview, *suite.figures) if figure is not None]
        _write_files(directory, suite.name, figures, suite.tables)
        for section in suite.sections:
            _write_files(directory, f"{suite.name}/{section.name}", section.figures, section.tables)
    for section in sections:
        _write_files(directory, section.name, section.figures, section.tables)
    _write_files(directory, "", (), [suites_table((suite.name, suite.analysis) for suite in suites)])
    page = directory / PAGE
    write_atomically(page, render_page(suites, sections).encode())
    return page


def _write_files(directory: Path, folder: str, figures: Sequence[Figure], tables: Sequence[Table]) -> None:
    for figure in figures:
        for suffix, content in render(figure).items():
            write_atomically(directory / "figures" / folder / f"{figure.name}.{suffix}", content)
    for table in tables:
        path = directory / "tables" / folder / table.name
        write_atomically(path.with_suffix(".csv"), _csv(table.data).encode())
        write_atomically(path.with_suffix(".tex"), to_latex(table).encode())
        write_table(path.with_suffix(".parquet"), table.data)


def _csv(data: pd.DataFrame) -> str:
    return data.to_csv(index=False, lineterminator="\n")
