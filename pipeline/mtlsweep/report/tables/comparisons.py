"""Tables that compare methods: rankings, tests, and every method's results."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mtlsweep.analysis.conclusions.settling import SETTLES
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.tables.table import Cell, Column, Table, names, numbers, p_value


def comparisons_table(analysis: SuiteAnalysis) -> Table:
    """Return the paired tests."""
    table = analysis.comparisons
    p_values = [_p_cell(p, note) for p, note in zip(table["p_holm"], table["note"], strict=True)]
    columns = (
        *names(table, "question", "within", "a", "b"),
        numbers(table, "pairs", "pairs", ".0f"),
        numbers(table, "difference", "a − b, points", ".2f"),
        _intervals(table, "low", "high", "interval"),
        numbers(table, "effect_size", "effect size g", ".2f"),
        Column("p (Holm)", tuple(p_values)),
        numbers(table, SETTLES, "seeds to settle", ".0f"),
    )
    caption = (
        "Paired differences in test Δm. Negative: a is better. Optimizers and weightings (against ew) are paired by seed and have a "
        "t test. Optimizers overall are paired by weighting and have an exact sign-flip test. p values and intervals are "
        "Holm-corrected within each question, so an interval leaves out 0 exactly where p is below 0.05. Where nothing is tested, it "
        "is the 95 % interval of Student's t. Effect size is Hedges' g of paired values. Seeds to settle: how many would decide an "
        "open comparison with power 0.8 (mtlsweep plan --settle plans them). A dash means that it is decided, or that 30 are not "
        "enough. The files also have, for each pair alone, the interval that includes the search (search_low, search_high)."
    )
    return Table("comparisons", caption, columns, table)


def leads_table(analysis: SuiteAnalysis) -> Table | None:
    """Return how much of each optimizer's lead single-task training has, too; None where that is not known."""
    table = analysis.leads
    if table.empty:
        return None
    ahead = table["difference"] >= 0  # of a minus b: b is ahead
    sign = np.where(ahead, 1.0, -1.0)
    sides = pd.DataFrame({"ahead": table["b"].where(ahead, table["a"]), "behind": table["a"].where(ahead, table["b"])})
    headings = {
        "difference": "lead, points",
        "single_task": "of it single-task, too",
        "gap": "of it smaller multi-task gap",
    }
    columns = list(names(sides, "ahead", "behind"))
    for part, heading in headings.items():
        low, high = table[f"{part}_low"] * sign, table[f"{part}_high"] * sign
        ends = pd.DataFrame({"low": np.minimum(low, high), "high": np.maximum(low, high)})
        columns += [
            numbers(table.assign(**{part: table[part] * sign}), part, heading, ".1f"),
            _intervals(ends, "low", "high", "interval", ".1f"),
            Column("p (Holm)", tuple(_p_cell(p, "") for p in table[f"{part}_p_holm"])),
        ]
    columns += [numbers(table, name, name, ".0f") for name in ("weightings", "seeds")]
    caption = (
        "How far one optimizer is ahead of another in test Δm (mean over weightings). This lead has two parts. One is the lead in "
        "single-task training. The other is by how much the multi-task gap is smaller: the distance of multi-task from single-task "
        "training with the same optimizer. Paired by seed, t test. p and the interval are Holm-corrected over the pairs, so the "
        "interval leaves out 0 exactly where p is below 0.05."
    )
    return Table("leads", caption, tuple(columns), table)


def _p_cell(p: float, note: str) -> Cell:
    return Cell(note or "–", sort=math.inf) if pd.isna(p) else Cell(p_value(p), bold=p < 0.05, sort=p)


def _intervals(table: pd.DataFrame, low: str, high: str, heading: str, form: str = ".2f") -> Column:
    ends = zip(table[low], table[high], strict=True)
    return Column(
        heading,
        tuple(
            Cell("–", sort=math.inf) if pd.isna(a) else Cell(f"{a:{form}} to {b:{form}}", sort=float(a))
            for a, b in ends
        ),
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
        "How certain each method's result is. Intervals: 95 % of the test Δm of the selected setting over seeds. The first holds all "
        "choices fixed. For the second, baselines, epochs and learning rates are chosen again in each sample of the seeds (a dash with "
        "fewer than three). Probability: that a method's mean is Pareto-optimal among methods (bootstrap over the seeds that all "
        "methods share). Rates: the unbroken range of tried learning rates whose validation Δm is within 5 points of the best. Open: "
        "the range reaches the end of what was tried."
    )
    return Table("methods", caption, columns, table)
