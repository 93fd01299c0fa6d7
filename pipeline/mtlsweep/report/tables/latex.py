"""Tables for papers: LaTeX with booktabs, the best of each column bold."""

from __future__ import annotations

import re

from mtlsweep.report.tables.table import Cell, Table

_SPECIAL = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


_SPECIAL |= {letter: f"\\{letter}" for letter in "&%$#_"}


_MATHS = {
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "−": "$-$",
    "–": "--",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
}


_MATHS |= {"Delta_m": r"$\Delta_m$", "<": "$<$", ">": "$>$"}


_WORDS = re.compile("|".join(map(re.escape, [*_MATHS, *_SPECIAL])))


def to_latex(table: Table) -> str:
    r"""Return `table` as a LaTeX `table` environment; the document needs `\usepackage{booktabs}`."""
    layout = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        " & ".join(escape(column.heading) for column in table.columns) + r" \\",
        r"\midrule",
        *(" & ".join(map(_cell, row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return `text` with LaTeX's own letters escaped and mathematical signs as commands."""
    return _WORDS.sub(lambda match: _MATHS.get(match[0]) or _SPECIAL[match[0]], text)


def _cell(cell: Cell) -> str:
    words = escape(cell.text)
    return rf"\textbf{{{words}}}" if cell.bold else words
