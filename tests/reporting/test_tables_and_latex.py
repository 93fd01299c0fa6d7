"""Tables for people: what is bold, what is missing, and LaTeX that compiles."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.external import analyse_runs
from mtlsweep.analysis.paper.printed_results import HIGHER_IS_BETTER, LOWER_IS_BETTER, paper_results
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.report.tables import comparisons, paper, pareto, suites, trials
from mtlsweep.report.tables import results as tables
from mtlsweep.report.tables.latex import escape, to_latex
from mtlsweep.report.tables.table import Cell, Column, Table, from_frame, means, numbers
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep


@pytest.fixture(scope="module")
def analysis() -> SuiteAnalysis:
    sweep = simulate_sweep(truth=Truth(noise=0.5))
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


def column(table: Table, heading: str) -> list[str]:
    return [cell.text for cell in next(c for c in table.columns if c.heading == heading).cells]


def bold(table: Table, heading: str) -> list[int]:
    cells = next(c for c in table.columns if c.heading == heading).cells
    return [position for position, cell in enumerate(cells) if cell.bold]


@pytest.mark.slow
def test_results_hold_every_method_and_every_metric(analysis: SuiteAnalysis) -> None:
    table = tables.results_table(analysis)
    assert len(table.rows) == 21
    assert [c.heading for c in table.columns] == [
        "weighting", "optimizer", "Δm %", "learning rate", "seeds", "Δm left %", "Δm right %", "Δm mass %",
        "left accuracy ↑", "right accuracy ↑", "mass mae ↓", "mass r2 ↑",
    ]  # fmt: skip
    assert re.fullmatch(r"\d\.\d\d ± \d\.\d\d", column(table, "Δm %")[0])
    assert bold(table, "Δm %")[0] == 0


@pytest.mark.parametrize(("higher", "expected"), [(True, [2]), (False, [0, 1])])
def test_the_best_and_what_ties_with_it_within_noise_are_bold(higher: bool, expected: list[int]) -> None:
    results = pd.DataFrame(
        {"m_mean": [1.0, 1.1, 9.0, np.nan], "m_std": [0.2, 0.2, 0.2, np.nan], "seeds": [3, 3, 3, np.nan]}
    )
    cells = means(results, "m", "m", higher, 2).cells
    assert [position for position, cell in enumerate(cells) if cell.bold] == expected
    assert cells[3].text == "–"


def test_one_wild_method_does_not_make_all_others_tie() -> None:
    results = pd.DataFrame({"m_mean": [1.0, 2.0, 3.0, 50.0], "m_std": [0.1, 0.1, 0.1, 40.0], "seeds": 3})
    assert [cell.bold for cell in means(results, "m", "m", False, 2).cells] == [True, False, False, False]


def test_without_replicates_only_the_best_is_bold() -> None:
    results = pd.DataFrame({"m_mean": [1.0, 1.0001], "m_std": [np.nan, np.nan], "seeds": 1})
    assert [cell.bold for cell in means(results, "m", "m", False, 2).cells] == [True, False]


def test_missing_numbers_are_dashes_and_sort_last() -> None:
    cells = numbers(pd.DataFrame({"x": [0.001, np.nan]}), "x", "x", "~").cells
    assert [cell.text for cell in cells] == ["0.001", "–"] and cells[1].sort == np.inf


def test_outcomes_name_the_learning_rates_that_diverged(analysis: SuiteAnalysis) -> None:
    table = trials.outcomes_table(analysis)
    words = dict(
        zip(
            zip(column(table, "weighting"), column(table, "optimizer"), strict=True),
            column(table, "diverged or failed at learning rate"),
            strict=True,
        )
    )
    assert words[("ew", "sgd")] == "0.1 (2 of 2)" and words[("ew", "adam")] == ""


def test_few_seeds_stand_where_a_p_value_would(analysis: SuiteAnalysis) -> None:
    words = column(comparisons.comparisons_table(analysis), "p (Holm)")
    assert words[0] == "too few seeds (2, needs 5)" and re.fullmatch(r"0\.\d{3}", words[-1])


def test_the_papers_figures_stand_beside_ours(analysis: SuiteAnalysis) -> None:
    table = paper.paper_table(analysis, "cityscapes-segnet")
    assert table is not None and len(table.rows) == 23
    row = next(row for row in table.rows if (row[0].text, row[1].text) == ("uw", "adam"))
    assert row[-1].text == "5.44 ± 2.38" and row[2].text == "0.001"
    assert paper.paper_table(analysis, "multidigits-lenet") is None


def test_suites_stand_side_by_side_with_the_paper(analysis: SuiteAnalysis) -> None:
    table = suites.suites_table([("nyuv2-segnet", analysis), ("multidigits-lenet", analysis)])
    assert column(table, "source") == ["ours", "paper", "ours"]
    assert column(table, "adam PO w.r.t. sgd")[1] == "21" and column(table, "sgd PO full")[1] == "1"
    assert column(table, "signsgd PO full")[1] == "–"


def test_every_replicate_of_the_results_can_be_repeated(analysis: SuiteAnalysis) -> None:
    table = trials.repeat_table(analysis)
    assert len(table.rows) == 42
    assert set(column(table, "command")) <= {f"mtlsweep run {key}" for key in analysis.trials["trial_key"]}


def test_compute_is_summed_per_method(analysis: SuiteAnalysis) -> None:
    costs = pd.DataFrame({"trial_key": analysis.trials["trial_key"], "seconds": 36.0})
    table = trials.compute_table(analysis, costs)
    assert f"{0.6 * len(analysis.trials):.1f} minutes" in table.caption
    assert column(table, "trials")[-1] == "18"


def all_tables(analysis: SuiteAnalysis) -> list[Table]:
    makers = [
        tables.results_table,
        tables.baselines_table,
        pareto.counts_table,
        pareto.weightings_table,
        comparisons.comparisons_table,
    ]
    makers += [comparisons.rankings_table, comparisons.methods_table, trials.outcomes_table, trials.repeat_table]
    return [make(analysis) for make in makers]


def test_latex_has_the_right_number_of_cells_and_no_bare_special_letter(analysis: SuiteAnalysis) -> None:
    for table in all_tables(analysis):
        text = to_latex(table)
        layout = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
        assert layout and len(layout[1]) == len(table.columns)
        body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
        lines = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(lines) == len(table.rows) + 1
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1 for line in lines)
        assert text.count("{") == text.count("}")
        assert text.isascii() and not re.search(r"(?<!\\)[%#]", text) and not re.search(r"(?<!\\|a)_(?!m\$)", body)
        assert r"\toprule" in text and r"\midrule" in text


def test_latex_is_booktabs_with_the_best_bold() -> None:
    columns = (
        Column("a_b", (Cell("x & y"), Cell("z")), numeric=False),
        Column("Δm %", (Cell("1 ± 2", bold=True), Cell("–"))),
    )
    assert to_latex(Table("two_rows", "100 % of them", columns, pd.DataFrame())).splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{100 \% of them}",
        r"\label{tab:two-rows}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a\_b & $\Delta_m$ \% \\",
        r"\midrule",
        r"x \& y & \textbf{1 $\pm$ 2} \\",
        r"z & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_latex_escapes_what_it_would_read() -> None:
    assert escape(r"a_b & 5 % ± \x Δm") == r"a\_b \& 5 \% $\pm$ \textbackslash{}x $\Delta_m$"


@pytest.mark.slow
def test_tables_without_validation_or_seeds_are_worded_too() -> None:
    runs = paper_results("nyuv2-segnet")
    assert runs is not None
    analysis = analyse_runs(
        runs, [m for m in HIGHER_IS_BETTER if m in runs], "stl", "nyuv2_segnet.csv", LOWER_IS_BETTER
    )
    for table in all_tables(analysis):
        assert len(table.rows) >= 3 and to_latex(table)
    assert "as given" in tables.results_table(analysis).caption


def test_any_frame_becomes_a_table() -> None:
    table = from_frame("t", "caption", pd.DataFrame({"a": ["x"], "b": [1.23456]}))
    assert [cell.text for cell in table.rows[0]] == ["x", "1.235"]
