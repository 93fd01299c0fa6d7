"""A tuned axis is chosen on validation with the learning rate, and tables, sentences and figures say what was chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mtlsweep.analysis.conclusions.importance import hyperparameter_importance
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.analysis.suite_files import read_analysis, write_analysis
from mtlsweep.analysis.summary import plot_data, summarise
from mtlsweep.report.answer import answer
from mtlsweep.report.figures.axes import tuned_values
from mtlsweep.report.figures.figure import render
from mtlsweep.report.suite import SuiteReport
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep

AXIS = "network.dropout"
GAIN = {"0": 10.0, "0.2": 0.0, "0.5": 4.0}
"""By value, how many percent worse every method is; the best value is in the middle."""


FEW = {"ew": 0.0, "uw": 1.0, "cagrad": 2.0}


def with_value(value: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the raw tables of a sweep in which every method has one value of the axis."""
    effect = {name: level + GAIN[value] for name, level in Truth().optimizer_effect.items() if name != "signsgd"}
    sweep = simulate_sweep(learning_rates=(1e-2, 1e-3), epochs=2, truth=Truth(FEW, effect, noise=0.1))
    outcomes = sweep.sweep_outcomes.assign(**{AXIS: value}, cell_key=sweep.sweep_outcomes["cell_key"] + value)
    return sweep.sweep_curves.assign(trial_key=sweep.sweep_curves["trial_key"] + value), outcomes.assign(
        trial_key=outcomes["trial_key"] + value
    )


@pytest.fixture(scope="module")
def analysis() -> SuiteAnalysis:
    first = simulate_sweep(learning_rates=(1e-2, 1e-3), epochs=2)
    curves, outcomes = (pd.concat(tables, ignore_index=True) for tables in zip(*map(with_value, GAIN), strict=True))
    return analyse_suite(first.baseline_curves, first.baseline_outcomes, curves, outcomes, first.objectives)


@pytest.mark.slow
def test_the_value_is_selected_with_the_learning_rate(analysis: SuiteAnalysis) -> None:
    results = analysis.results
    assert len(results) == 3 * 2, "a row per method, however many values it tried"
    assert set(results[AXIS]) == {"0.2"}
    assert set(results["tried_settings"]) == {6}
    assert set(analysis.trials[AXIS].dropna()) == set(GAIN)


@pytest.mark.slow
def test_the_page_says_what_was_selected_and_at_which_budget(analysis: SuiteAnalysis) -> None:
    sentences = answer(analysis).sentences
    assert "at learning rate 0.001, network.dropout 0.2;" in sentences[0]
    assert any(
        line.startswith("Each method tried 6 settings of the learning rate and of network.dropout")
        for line in sentences
    )
    report = SuiteReport("simulated", analysis, {})
    results = next(table for table in report.tables if table.name == "results")
    column = next(column for column in results.columns if column.heading == AXIS)
    assert {cell.text for cell in column.cells} == {"0.2"}
    assert "tuned_values" in [figure.name for figure in report.figures]


def test_figures_over_rates_show_the_best_value_at_each_rate(analysis: SuiteAnalysis) -> None:
    drawn = plot_data(analysis)["delta_m_by_learning_rate"].set_index(["weighting", "optimizer", "lr"])["val_delta_m"]
    done = analysis.trials[(analysis.trials["role"] == "mtl") & (analysis.trials["outcome"] == "done")]
    best = done[done[AXIS] == "0.2"].groupby(["weighting", "optimizer", "lr"])["val_delta_m"].mean()
    pd.testing.assert_series_equal(drawn.sort_index(), best.sort_index())


def test_the_figure_of_an_axis_orders_numbers_by_size(analysis: SuiteAnalysis) -> None:
    figure = tuned_values(analysis)
    assert figure is not None
    assert figure.specifications[0]["encoding"]["x"]["sort"] == ["0", "0.2", "0.5"]
    assert render(figure)["png"].startswith(b"\x89PNG")


@pytest.mark.slow
def test_an_axis_has_an_importance_of_its_own(analysis: SuiteAnalysis) -> None:
    shares = hyperparameter_importance(analysis.trials, analysis.objectives)
    everything = shares[shares["target"] == "all tasks"].set_index("hyperparameter")["importance"]
    assert set(everything.index) == {"weighting", "optimizer", "lr", AXIS}
    assert everything[AXIS] > everything["weighting"] > 0


@pytest.mark.slow
def test_a_compared_value_counts_for_the_axis_and_not_for_the_optimizer(analysis: SuiteAnalysis) -> None:
    """The same trials, named by their values: the figures are the same."""
    trials = analysis.trials
    named = trials["optimizer"] + (" [dropout=" + trials[AXIS] + "]").fillna("")
    compared = hyperparameter_importance(trials.assign(optimizer=named), analysis.objectives)
    pd.testing.assert_frame_equal(compared, hyperparameter_importance(trials, analysis.objectives))


def test_tables_and_summary_keep_the_value(analysis: SuiteAnalysis, tmp_path: Path) -> None:
    write_analysis(tmp_path, analysis)
    assert set(read_analysis(tmp_path).results[AXIS]) == {"0.2"}
    assert summarise(analysis)["best"][AXIS] == "0.2"


def test_a_cut_setting_is_named_with_its_value(analysis: SuiteAnalysis) -> None:
    cuts = pd.DataFrame(
        {"weighting": "ew", "optimizer": "adam", "lr": 0.1, AXIS: ["0", "0.5"], "seed": 0, "cut_at": 1,
         "val_delta_m": 9.0, "behind": 3.0, "last_gain": 0.1, "epochs_left": 1, "may_have_won": False}
    )  # fmt: skip
    report = SuiteReport("simulated", replace(analysis, cuts=cuts), {})
    table = next(table for table in report.tables if table.name == "cuts")
    assert [cell.text for column in table.columns if column.heading == AXIS for cell in column.cells] == ["0", "0.5"]
