"""The tables of a suite: what each shows, and the sentence above it."""

from __future__ import annotations

import pandas as pd

from mtlsweep.analysis.objectives import counted, tasks_of
from mtlsweep.analysis.selection import axis_columns
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.tables.table import Column, Table, digits_of, means, names, numbers, settings, with_spread
from mtlsweep.trials.metric_names import OWN_DELTA_M, column_of, delta_m_of


def results_table(analysis: SuiteAnalysis) -> Table:
    """Return a row per method, best validation Δm first."""
    results = analysis.results
    columns = names(results, "weighting", "optimizer")
    columns.append(means(results, "test_delta_m", "Δm %", False, 2))  # so far left that a phone shows it
    if "test_own_delta_m_mean" in results:
        columns.append(means(results, column_of("test", OWN_DELTA_M), "against own optimizer %", False, 2))
    columns += [numbers(results, "lr", "learning rate", "~"), *settings(results)]
    columns.append(numbers(results.astype({"seeds": float}), "seeds", "seeds", ".0f"))
    for task in tasks_of(counted(analysis.objectives)):
        columns.append(means(results, column_of("test", delta_m_of(task)), f"Δm {task} %", False, 2))
    for objective in analysis.objectives:
        arrow = "↑" if objective.higher_is_better else "↓"
        figure = objective.of("test").column
        digits = digits_of(results[f"{figure}_mean"])
        columns.append(means(results, figure, f"{objective.label} {arrow}", objective.higher_is_better, digits))
    selected = (
        f"at the {'setting' if axis_columns(results) else 'learning rate'} and epochs selected on validation, the best there first"
        if results["val_delta_m_mean"].notna().any()
        else "as given"
    )
    caption = (
        f"Test metrics per method {selected}: mean ± standard deviation over seeds. Bold: the best of a column, and what cannot be "
        "distinguished from it (95 % interval of the difference, noise pooled over methods). Δm is relative to single-task learning; "
        "positive is worse."
    )
    if "test_own_delta_m_mean" in results:
        caption += " Beside it: relative to single-task learning with the method's own optimizer."
    return Table("results", caption, tuple(columns), results)


def baselines_table(analysis: SuiteAnalysis) -> Table:
    """Return the single-task cells that Δm compares with."""
    baselines = analysis.baselines
    cells = []
    for mean, deviation in zip(baselines["test_mean"], baselines["test_std"], strict=True):
        cells.append(with_spread(mean, deviation, digits_of(pd.Series([mean]))))
    columns = (
        *names(baselines, "task", "metric", *(name for name in ["optimizer"] if name in baselines)),
        numbers(baselines, "lr", "learning rate", "~"),
        *settings(baselines),
        numbers(baselines, "seeds", "seeds", ".0f"),
        Column("test", tuple(cells)),
    )
    caption = f"Single-task baselines (STL): the {'optimizer and ' if 'optimizer' in baselines else ''}learning rate with the lowest mean validation loss, mean ± standard deviation over seeds."
    return Table("baselines", caption, columns, baselines)
