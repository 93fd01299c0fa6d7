"""Tables that compare methods: rankings, tests, and every method's results."""

from __future__ import annotations

import math

import pandas as pd

from mtlsweep.analysis.conclusions.settling import SETTLES
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.tables.table import Cell, Column, Table, names, numbers, p_value


def comparisons_table(analysis: SuiteAnalysis) -> Table:
    """Return the paired tests."""
    table = analysis.comparisons
    p_values = [
        Cell(note or "–", sort=math.inf) if pd.isna(p) else Cell(p_value(p), bold=p < 0.05, sort=p)
        for p, note in zip(table["p_holm"], table["note"], strict=True)
    ]
    columns = (
        *names(table, "question", "within", "a", "b"),
        numbers(table, "pairs", "pairs", ".0f"),
        numbers(table, "difference", "a − b, points", ".2f"),
        _intervals(table, "low", "high", "95 % interval"),
        _intervals(table, "search_low", "search_high", "with the search"),
        numbers(table, "effect_size", "effect size g", ".2f"),
        Column("p (Holm)", tuple(p_values)),
        numbers(table, SETTLES, "seeds to settle", ".0f"),
    )
    caption = (
        "Paired differences in test Delta_m, negative = a better. Optimizer and weighting (against ew): by seed, t test; optimizer overall: by "
        "weighting, exact sign-flip test. p values are Holm-corrected within each question; effect size is Hedges' g of paired values. With the search: the interval when "
        "baselines, epochs and learning rates are chosen again in each sample of the seeds. Seeds to settle: how many would decide an open "
        "comparison with power 0.8 (mtlsweep plan --settle plans them); a dash where it is decided, or where up to 30 would not do."
    )
    return Table("comparisons", caption, columns, table)


def _intervals(table: pd.DataFrame, low: str, high: str, heading: str) -> Column:
    ends = zip(table[low], table[high], strict=True)
    return Column(
        heading,
        tuple(Cell("–", sort=math.inf) if pd.isna(a) else Cell(f"{a:.2f} to {b:.2f}", sort=float(a)) for a, b in ends),
    )


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
    figures = ["test_delta_m_low", "test_delta_m_high", "test_delta_m_search_low", "test_delta_m_search_high"]
    one_cell = analysis.results[~analysis.results.duplicated(on, keep=False)][[*on, *figures]]
    table = analysis.pareto_probability.merge(analysis.sensitivity, on=on, how="outer").merge(
        one_cell, on=on, how="left"
    )
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
        _intervals(table, "test_delta_m_low", "test_delta_m_high", "95 % interval"),
        _intervals(table, "test_delta_m_search_low", "test_delta_m_search_high", "with the search"),
        numbers(table, "probability", "P(Pareto-optimal)", ".2f"),
        numbers(table, "seeds", "seeds", ".0f"),
        Column("rates within 5 points", tuple(ranges)),
        numbers(table, "decades", "decades", ".2f"),
        Column("open at", tuple(Cell(end, sort=end) for end in ends), numeric=False),
    )
    caption = (
        "95 % interval of the test Delta_m of the selected setting over seeds, as it is and when baselines, epochs and learning rates are chosen again in each sample "
        "of the seeds (a dash with fewer than three); bootstrap probability (over seeds all methods share) that a method's mean is Pareto-optimal among methods; and the unbroken range of "
        "tried learning rates whose validation Delta_m is within 5 points of the best. Open: the range reaches the end of what was tried."
    )
    return Table("methods", caption, columns, table)
