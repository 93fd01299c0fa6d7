"""Late selection: validation chooses, test is only looked up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.baselines import select_baselines
from mtlsweep.analysis.chosen_epochs import best_epochs
from mtlsweep.analysis.selection import best_at_each_rate, select_learning_rates, without_compared
from mtlsweep.analysis.suite import analyse_suite
from mtlsweep.analysis.trial_table import measure_trials, with_delta_m
from mtlsweep.errors import UserError
from mtlsweep.testing.simulated_sweep import OBJECTIVES, SimulatedSweep, simulate_sweep

pytestmark = pytest.mark.slow


def analysed(sweep: SimulatedSweep) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the results and the trials of a sweep."""
    analysis = analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )
    return analysis.results, analysis.trials


@pytest.fixture(scope="module")
def sweep() -> SimulatedSweep:
    return simulate_sweep()


@pytest.fixture(scope="module")
def results(sweep: SimulatedSweep) -> pd.DataFrame:
    return analysed(sweep)[0]


def epochs_of(trial: str, values: list[float]) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([[trial], range(1, len(values) + 1)], names=["trial_key", "epoch"])
    return pd.DataFrame({"criterion": values}, index=index)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0, 1.0, 2.0], 2), ([2.0, 1.0, 1.0], 2), ([np.nan, 5.0, np.nan], 2), ([np.inf, 9.0], 2), ([4.0], 1)],
)
def test_the_best_epoch_is_the_earliest_of_the_lowest_finite_ones(values: list[float], expected: int) -> None:
    assert best_epochs(epochs_of("t", values), "criterion").loc["t", "best_epoch"] == expected


def test_a_trial_that_was_never_finite_has_no_best_epoch() -> None:
    assert best_epochs(epochs_of("t", [np.nan, np.nan]), "criterion").empty


def test_the_order_of_rows_does_not_matter(sweep: SimulatedSweep) -> None:
    shuffled = SimulatedSweep(
        *(table.sample(frac=1, random_state=1) for table in (sweep.baseline_curves, sweep.baseline_outcomes,
                                                             sweep.sweep_curves, sweep.sweep_outcomes))
    )  # fmt: skip
    for expected, found in zip(analysed(sweep), analysed(shuffled), strict=True):
        pd.testing.assert_frame_equal(expected, found)


def test_the_baseline_is_the_learning_rate_of_lowest_validation_loss() -> None:
    sweep = simulate_sweep()
    baselines = select_baselines(sweep.baseline_curves, sweep.baseline_outcomes, OBJECTIVES)
    assert set(baselines.table["lr"]) == {1e-3}
    trials = baselines.trials
    left = trials[(trials["task"] == "left") & (trials["lr"] == 1e-3)]
    assert baselines.values["test"]["left_accuracy"] == pytest.approx(left["test_left_accuracy"].mean())


def test_single_task_trials_are_measured_at_their_own_lowest_loss() -> None:
    sweep = simulate_sweep(epochs=3)
    curves = sweep.baseline_curves.copy()
    overfit = (curves["split"] == "val") & (curves["metric"] == "loss") & (curves["epoch"] == 3)
    curves.loc[overfit, "value"] = 99.0
    baselines = select_baselines(curves, sweep.baseline_outcomes, OBJECTIVES)
    assert set(baselines.trials["best_epoch"]) == {2}


def test_a_learning_rate_with_a_diverged_replicate_is_not_eligible(
    sweep: SimulatedSweep, results: pd.DataFrame
) -> None:
    best = results.iloc[0]
    outcomes = sweep.sweep_outcomes.copy()
    one_replicate = outcomes.index[outcomes["cell_key"] == best["cell_key"]][0]
    outcomes.loc[one_replicate, "outcome"] = "diverged"
    changed, _ = analysed(SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, outcomes))
    same_method = changed[(changed["weighting"] == best["weighting"]) & (changed["optimizer"] == best["optimizer"])]
    assert same_method["lr"].item() != best["lr"]


def test_a_method_without_an_eligible_learning_rate_stays_in_the_table_without_figures() -> None:
    sweep = simulate_sweep()
    outcomes = sweep.sweep_outcomes.copy()
    outcomes.loc[(outcomes["weighting"] == "uw") & (outcomes["optimizer"] == "sgd"), "outcome"] = "diverged"
    results, trials = analysed(
        SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, outcomes)
    )
    row = results[(results["weighting"] == "uw") & (results["optimizer"] == "sgd")]
    assert len(results) == 21 and row["lr"].isna().item() and row["test_delta_m_mean"].isna().item()
    assert (
        trials.loc[trials["outcome"] == "diverged", ["test_delta_m", "val_left_accuracy", "best_epoch"]]
        .isna()
        .all(axis=None)
    )


def test_selection_never_sees_test_data(sweep: SimulatedSweep, results: pd.DataFrame) -> None:
    """The trap: the cell that is worst on validation is by far the best on test, at every epoch."""
    trapped = sweep.sweep_outcomes[(sweep.sweep_outcomes["weighting"] == "ew") & (sweep.sweep_outcomes["lr"] == 0.1)]
    curves = sweep.sweep_curves.copy()
    rows = curves["trial_key"].isin(trapped["trial_key"]) & (curves["split"] == "test")
    curves.loc[rows, "value"] = np.where(curves.loc[rows, "metric"] == "mae", 1e-6, 1.0)
    early = (curves["split"] == "test") & (curves["epoch"] == 1) & (curves["metric"] == "accuracy")
    curves.loc[early, "value"] = 1.0
    after, trials = analysed(
        SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, curves, sweep.sweep_outcomes)
    )
    chosen = ["weighting", "optimizer", "lr", "cell_key", "val_delta_m_mean"]
    pd.testing.assert_frame_equal(after[chosen], results[chosen])
    assert set(trials["best_epoch"].dropna()) == {4}


def test_learning_rates_are_selected_from_a_table_without_test_columns() -> None:
    sweep = simulate_sweep()
    baselines = select_baselines(sweep.baseline_curves, sweep.baseline_outcomes, OBJECTIVES)
    trials = with_delta_m(
        measure_trials(sweep.sweep_curves, sweep.sweep_outcomes, baselines, OBJECTIVES), baselines, OBJECTIVES
    )
    blind = trials.drop(columns=[column for column in trials if column.startswith("test_")])
    pd.testing.assert_frame_equal(select_learning_rates(blind), select_learning_rates(trials))


def test_equally_good_learning_rates_give_the_lower_one() -> None:
    trials = pd.DataFrame(
        {"weighting": "ew", "optimizer": "adam", "cell_key": ["b", "a"], "lr": [0.1, 0.01], "seed": 0,
         "outcome": "done", "val_delta_m": 3.0}
    )  # fmt: skip
    assert select_learning_rates(trials)["lr"].item() == 0.01


def test_a_task_without_a_finished_baseline_is_an_error_that_says_so() -> None:
    sweep = simulate_sweep()
    outcomes = sweep.baseline_outcomes.copy()
    outcomes.loc[outcomes["task"] == "mass", "outcome"] = "diverged"
    with pytest.raises(UserError, match="task `mass` has no baseline: of its 6 single-task trials 0 are done"):
        select_baselines(sweep.baseline_curves, outcomes, OBJECTIVES)


def one_method(rates: dict[float, tuple[dict[int, float], str]]) -> pd.DataFrame:
    """Return the trials of one method: by learning rate, validation Delta_m by seed and the outcome of its last seed."""
    rows = [
        {"weighting": "ew", "optimizer": "sgd", "cell_key": f"cell {lr}", "lr": lr, "seed": seed,
         "outcome": outcome if seed == max(figures) else "done", "val_delta_m": value}
        for lr, (figures, outcome) in rates.items()
        for seed, value in figures.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_lucky_single_figure_is_not_compared_with_means_over_every_seed() -> None:
    """Seeds of the sweep are those that any of its trials has."""
    complete = {0: 5.0, 1: 6.0, 2: 7.0}
    trials = one_method({0.1: (complete, "done"), 0.01: ({0: 1.0}, "done"), 0.001: ({0: 2.0, 1: 2.0}, "done")})
    assert select_learning_rates(trials)["lr"].tolist() == [0.1]
    alone = trials[trials["seed"] == 0]
    assert select_learning_rates(alone)["lr"].tolist() == [0.01], "a sweep of one seed"


@pytest.mark.parametrize("outcome", ["diverged", "failed", "pruned"])
def test_a_cell_of_which_one_seed_has_no_result_is_not_selected_by_the_others(outcome: str) -> None:
    trials = one_method({0.1: ({0: 5.0, 1: 6.0}, "done"), 0.01: ({0: 1.0, 1: 1.0}, outcome)})
    assert select_learning_rates(trials)["lr"].tolist() == [0.1]


def test_single_task_training_calls_an_optimizer_without_compared_values() -> None:
    labels = pd.Series(["adam", "sgd [momentum=0.9]", "sgd [momentum=0 [x]]"], dtype="category")
    assert without_compared(labels).tolist() == ["adam", "sgd", "sgd"]


def test_at_each_rate_the_tuned_value_of_lowest_mean_stands_for_it() -> None:
    figures = {
        "a": (0.1, "0", [1.0, 9.0]),
        "b": (0.1, "0.9", [4.0, 4.0]),
        "d": (0.01, "0", [2.0, 2.0]),
        "c": (0.01, "0.9", [2.0, 2.0]),
    }
    rows = [
        {
            "weighting": "ew",
            "optimizer": "sgd",
            "cell_key": key,
            "lr": lr,
            "optimizer.momentum": value,
            "val_delta_m": figure,
        }
        for key, (lr, value, of_seeds) in figures.items()
        for figure in of_seeds
    ]
    trials = pd.DataFrame(rows)
    assert best_at_each_rate(trials)["cell_key"].tolist() == ["b", "b", "c", "c"], "of equal ones the first by its key"
    of_one_value = trials[trials["optimizer.momentum"] == "0"]
    pd.testing.assert_frame_equal(best_at_each_rate(of_one_value), of_one_value)
