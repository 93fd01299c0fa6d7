"""Tables for papers: LaTeX with booktabs, the best of each column bold."""

from __future__ import annotations

import re

import pandas as pd

from mtlsweep.report.tables.table import Cell, Table

_COMMANDS = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "−": "$-$",
    "–": "--",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
    "Δm": r"$\Delta_m$",
}

_WORDS = re.compile("|".join(map(re.escape, sorted(_COMMANDS, key=len, reverse=True))))


def to_latex(table: Table) -> str:
    r"""Return `table` as a LaTeX `table` environment; the document needs `\usepackage{booktabs}`."""
    cells = pd.DataFrame(dict(enumerate(column.cells for column in table.columns)))
    styled = cells.style.hide(axis="index").format(_cell)
    headings = styled.format_index(lambda position: escape(table.columns[position].heading), axis="columns")
    text: str = headings.to_latex(
        column_format="".join("r" if column.numeric else "l" for column in table.columns),
        caption=escape(table.caption),
        label=f"tab:{table.name.replace('_', '-')}",
        position_float="centering",
        hrules=True,
    )
    return text


def escape(text: str) -> str:
    """Return `text` with LaTeX's special characters escaped and mathematical signs as commands.

    pandas escapes only LaTeX's special characters; it would leave ± and arrows, which some engines refuse.
    """
    return _WORDS.sub(lambda match: _COMMANDS[match[0]], text)


def _cell(cell: Cell) -> str:
    words = escape(cell.text)
    return rf"\textbf{{{words}}}" if cell.bold else words
