"""Tables as people read them: numbers worded once, for the page and for LaTeX."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from pipeline.analysis.objectives import counted, tasks_of
from pipeline.analysis.suite import SuiteAnalysis


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is (or ties with) the best of its column, and what it sorts by."""

    text: str
    bold: bool = False
    sort: float | str = ""


@dataclass(frozen=True)
class Table:
    """A table to show. `numeric` says which columns are aligned right."""

    name: str
    caption: str
    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]


def results_table(analysis: SuiteAnalysis) -> Table:
    """Return a row per method, best validation Delta_m first; the best of each column is bold."""
    results = analysis.results
    columns: list[tuple[str, list[Cell], bool]] = [
        ("weighting", [text(value) for value in results["weighting"]], False),
        ("optimizer", [text(value) for value in results["optimizer"]], False),
        ("learning rate", [number(value, ".2g") for value in results["lr"]], True),
        ("seeds", [number(value, ".0f") for value in results["seeds"].astype(float)], True),
    ]
    columns.append(("Delta_m %", _means(results, "test_delta_m", False, 2), True))
    for task in tasks_of(counted(analysis.objectives)):
        columns.append((f"Delta_m {task} %", _means(results, f"test_delta_m_{task}", False, 2), True))
    for objective in analysis.objectives:
        arrow = "↑" if objective.higher_is_better else "↓"
        columns.append(
            (f"{objective.label} {arrow}", _means(results, f"test_{objective.name}", objective.higher_is_better, 4), True)
        )
    caption = "Test metrics at the learning rate and epoch selected on validation: mean ± standard deviation over seeds."
    return from_columns("results", caption, columns)


def outcomes_table(analysis: SuiteAnalysis) -> Table:
    """Return how the trials of each method ended."""
    outcomes = analysis.outcomes.drop(columns="lr").groupby(["weighting", "optimizer"], as_index=False).sum()
    columns = [(name, [text(value) for value in outcomes[name]], False) for name in ("weighting", "optimizer")]
    for name in ("done", "diverged", "pruned", "failed"):
        columns.append((name, [number(value, ".0f") for value in outcomes[name]], True))
    return from_columns("outcomes", "How the trials of each method ended, over all learning rates and seeds.", columns)


def counts_table(analysis: SuiteAnalysis) -> Table:
    """Return the Pareto counts per optimizer, in full and with respect to each other optimizer."""
    counts = analysis.optimizer_counts
    columns = [("optimizer", [text(value) for value in counts["optimizer"]], False)]
    titles = {"runs": "runs", "not_comparable": "with a NaN", "pareto_full": "PO full"}
    titles |= {c: f"PO w.r.t. {c.removeprefix('pareto_wrt_')}" for c in counts.columns if c.startswith("pareto_wrt_")}
    for name, title in titles.items():
        columns.append((title, [number(value, ".0f") for value in counts[name]], True))
    return from_columns("pareto", "Pareto-optimal runs over every test metric.", columns)


def from_columns(name: str, caption: str, columns: list[tuple[str, list[Cell], bool]]) -> Table:
    """Turn columns (heading, cells, numeric) into a table."""
    rows = tuple(zip(*(cells for _, cells, _ in columns), strict=True))
    return Table(name, caption, tuple(heading for heading, _, _ in columns), tuple(numeric for _, _, numeric in columns), rows)


def text(value: str) -> Cell:
    """A cell of plain text."""
    return Cell(str(value), sort=str(value))


def number(value: float, form: str) -> Cell:
    """A cell with one number; a missing one is a dash and sorts last."""
    return Cell("–", sort=math.inf) if pd.isna(value) else Cell(format(float(value), form), sort=float(value))


def _means(results: pd.DataFrame, figure: str, higher_is_better: bool, digits: int) -> list[Cell]:
    means, deviations = results[f"{figure}_mean"], results[f"{figure}_std"]
    best = means.max() if higher_is_better else means.min()
    cells = []
    for mean, deviation in zip(means, deviations, strict=True):
        if pd.isna(mean):
            cells.append(number(mean, ""))
            continue
        spread = "" if pd.isna(deviation) else f" ± {deviation:.{digits}f}"
        cells.append(Cell(f"{mean:.{digits}f}{spread}", bold=mean == best, sort=mean))
    return cells
