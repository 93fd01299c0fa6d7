"""Hyperparameter importance by fANOVA: the sweep of known truth names its strongest hyperparameter."""

from __future__ import annotations

import pandas as pd
import pytest

from mtlsweep.analysis.conclusions.importance import hyperparameter_importance
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep


def analysis_of(**truth: object) -> SuiteAnalysis:
    sweep = simulate_sweep(learning_rates=(1e-2, 1e-3), epochs=1, truth=Truth(**truth))  # type: ignore[arg-type]
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strongest", "truth"),
    [
        ("optimizer", {"curvature": 0.0, "optimizer_effect": {"adam": 0.0, "sgd": 40.0, "signsgd": 20.0}}),
        ("lr", {"curvature": 40.0, "best_log10_lr": {"adam": -3.0, "sgd": -3.0, "signsgd": -3.0}}),
    ],
)
def test_the_strongest_hyperparameter_is_named(strongest: str, truth: dict[str, object]) -> None:
    analysis = analysis_of(**truth)
    table = hyperparameter_importance(analysis.trials, analysis.objectives)
    for _, shares in table.groupby("target"):
        assert shares.set_index("hyperparameter")["importance"].idxmax() == strongest
        assert shares["importance"].sum() == pytest.approx(1.0)
    assert set(table["target"]) == {"all tasks", "left", "right", "mass"}


@pytest.mark.slow
def test_the_same_table_gives_the_same_shares() -> None:
    analysis = analysis_of()
    trials, objectives = analysis.trials, analysis.objectives
    first = hyperparameter_importance(trials, objectives)
    pd.testing.assert_frame_equal(first, hyperparameter_importance(trials, objectives))


@pytest.mark.slow
def test_too_little_to_compare_gives_an_empty_table() -> None:
    analysis = analysis_of()
    trials = analysis.trials
    one_cell = trials[trials["cell_key"] == trials.loc[trials["role"] == "mtl", "cell_key"].iloc[0]]
    for few in (trials.iloc[:0], one_cell, trials.assign(outcome="diverged")):
        assert hyperparameter_importance(few, analysis.objectives).empty
