"""Tables that compare methods: rankings, tests, and every method's results."""

from __future__ import annotations

import math

import pandas as pd

from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.tables.table import Cell, Column, Table, names, numbers, p_value


def comparisons_table(analysis: SuiteAnalysis) -> Table:
    """Return the paired tests."""
    table = analysis.comparisons
    intervals = [
        Cell("–", sort=math.inf) if pd.isna(low) else Cell(f"{low:.2f} to {high:.2f}", sort=low)
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    p_values = [
        Cell(note or "–", sort=math.inf) if pd.isna(p) else Cell(p_value(p), bold=p < 0.05, sort=p)
        for p, note in zip(table["p_holm"], table["note"], strict=True)
    ]
    columns = (
        *names(table, "question", "within", "a", "b"),
        numbers(table, "pairs", "pairs", ".0f"),
        numbers(table, "difference", "a − b, points", ".2f"),
        Column("95 % interval", tuple(intervals)),
        numbers(table, "effect_size", "effect size g", ".2f"),
        Column("p (Holm)", tuple(p_values)),
    )
    caption = (
        "Paired differences in test Delta_m, negative = a better. Optimizer and weighting (against ew): by seed, t test; optimizer overall: by "
        "weighting, exact sign-flip test. p values are Holm-corrected within each question; effect size is Hedges' g of paired values."
    )
    return Table("comparisons", caption, columns, table)


def rankings_table(analysis: SuiteAnalysis) -> Table:
    """Return how similarly two optimizers rank the weightings."""
    table = analysis.rankings
    p_values = [
        Cell(note or "–", sort=math.inf) if pd.isna(p) else Cell(p_value(p), sort=p)
        for p, note in zip(table["p"], table["note"], strict=True)
    ]
    columns = (
        *names(table, "optimizer_a", "optimizer_b"),
        numbers(table, "weightings", "weightings", ".0f"),
        numbers(table, "tau", "Kendall's τ", ".2f"),
        Column("p", tuple(p_values)),
    )
    return Table(
        "rankings",
        "Agreement between the rankings of weightings under two optimizers (1 = the same, −1 = reversed).",
        columns,
        table,
    )


def methods_table(analysis: SuiteAnalysis) -> Table:
    """Return per method how certain its place on the front is, and how much its learning rate matters."""
    on = ["weighting", "optimizer"]
    table = analysis.pareto_probability.merge(analysis.sensitivity, on=on, how="outer")
    table = table.sort_values(on, ignore_index=True).astype({"seeds": float, "tried": float})
    ranges = [
        Cell("–", sort=math.inf) if pd.isna(low) else Cell(f"{low:g} to {high:g}", sort=low)
        for low, high in zip(table["low_lr"], table["high_lr"], strict=True)
    ]
    ends = [
        {"low": "lower end", "high": "upper end", "both": "both ends"}.get(end, "")
        for end in table["open_end"].fillna("")
    ]
    columns = (
        *names(table, *on),
        numbers(table, "probability", "P(Pareto-optimal)", ".2f"),
        numbers(table, "seeds", "seeds", ".0f"),
        Column("rates within 5 points", tuple(ranges)),
        numbers(table, "decades", "decades", ".2f"),
        Column("open at", tuple(Cell(end, sort=end) for end in ends), numeric=False),
    )
    caption = (
        "Bootstrap probability (over seeds all methods share) that a method's mean is Pareto-optimal among methods; and the unbroken range of "
        "tried learning rates whose validation Delta_m is within 5 points of the best. Open: the range reaches the end of what was tried."
    )
    return Table("methods", caption, columns, table)
