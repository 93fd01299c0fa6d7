"""Hyperparameter importance by fANOVA: the sweep of known truth names its strongest hyperparameter."""

from __future__ import annotations

import pandas as pd
import pytest

from mtlsweep.analysis.conclusions.importance import hyperparameter_importance
from mtlsweep.analysis.suite import analyse_suite
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep


def trials_of(**truth: object) -> pd.DataFrame:
    sweep = simulate_sweep(learning_rates=(1e-2, 1e-3), epochs=1, truth=Truth(**truth))  # type: ignore[arg-type]
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    ).trials


@pytest.mark.parametrize(
    ("strongest", "truth"),
    [
        ("optimizer", {"curvature": 0.0, "optimizer_effect": {"adam": 0.0, "sgd": 40.0, "signsgd": 20.0}}),
        ("lr", {"curvature": 40.0, "best_log10_lr": {"adam": -3.0, "sgd": -3.0, "signsgd": -3.0}}),
    ],
)
def test_the_strongest_hyperparameter_is_named(strongest: str, truth: dict[str, object]) -> None:
    table = hyperparameter_importance(trials_of(**truth))
    for _, shares in table.groupby("target"):
        assert shares.set_index("hyperparameter")["importance"].idxmax() == strongest
        assert shares["importance"].sum() == pytest.approx(1.0)
    assert set(table["target"]) == {"all tasks", "left", "right", "mass"}


def test_the_same_table_gives_the_same_shares() -> None:
    trials = trials_of()
    pd.testing.assert_frame_equal(hyperparameter_importance(trials), hyperparameter_importance(trials))


def test_too_little_to_compare_gives_an_empty_table() -> None:
    trials = trials_of()
    one_cell = trials[trials["cell_key"] == trials.loc[trials["role"] == "mtl", "cell_key"].iloc[0]]
    for few in (trials.iloc[:0], one_cell, trials.assign(outcome="diverged")):
        assert hyperparameter_importance(few).empty
