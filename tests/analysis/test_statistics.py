"""Statistics: exact on small cases, and (slowly) recovering a known truth."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from mtlsweep.analysis.baselines import select_baselines
from mtlsweep.analysis.conclusions import statistics
from mtlsweep.analysis.conclusions.comparisons import compare_methods, compare_rankings, pareto_probability
from mtlsweep.analysis.conclusions.results import results_by_cell
from mtlsweep.analysis.conclusions.sensitivity import learning_rate_sensitivity
from mtlsweep.analysis.objectives import Objective
from mtlsweep.analysis.selection import select_learning_rates
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.analysis.trial_table import measure_trials, with_delta_m
from mtlsweep.testing.simulated_sweep import OBJECTIVES, Truth, simulate_sweep

NORMAL = np.random.default_rng(7).normal(size=(12, 3))


def test_few_seeds_trust_student_and_many_the_bootstrap() -> None:
    assert [statistics.mean_interval(NORMAL[:n])[2] for n in (1, 2, 4, 5)] == [
        "none",
        "student_t",
        "student_t",
        "bootstrap_t",
    ]
    low, high, _ = statistics.mean_interval(np.array([[1.0], [3.0]]))
    assert (low[0], high[0]) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-3)
    assert np.isnan(statistics.mean_interval(NORMAL[:1])[0]).all()


def test_intervals_move_and_stretch_with_the_values() -> None:
    low, high, _ = statistics.mean_interval(NORMAL)
    moved_low, moved_high, _ = statistics.mean_interval(10 * NORMAL + 5)
    assert moved_low == pytest.approx(10 * low + 5) and moved_high == pytest.approx(10 * high + 5)
    assert (low < NORMAL.mean(axis=0)).all() and (NORMAL.mean(axis=0) < high).all()


def test_a_constant_has_no_width_and_a_gap_no_interval() -> None:
    values = np.column_stack([np.full(6, 2.0), [1.0, np.nan, 2.0, 3.0, 4.0, 5.0]])
    low, high, _ = statistics.mean_interval(values)
    assert low[0] == high[0] == 2.0 and np.isnan(low[1]) and np.isnan(high[1])


def test_paired_comparison_cancels_what_seeds_share() -> None:
    luck = 100 * np.arange(6.0)
    comparison = statistics.compare_pairs(luck + np.array([1.0, 1.1, 0.9, 1.2, 0.8, 1.0]), luck)
    assert comparison.difference == pytest.approx(1.0) and comparison.p is not None and comparison.p < 1e-4
    assert comparison.low is not None and 0.8 < comparison.low < 1.0


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_too_few_seeds_give_a_sentence_instead_of_a_p_value(seeds: int) -> None:
    comparison = statistics.compare_pairs(NORMAL[:seeds, 0], NORMAL[:seeds, 1])
    assert comparison.p is None and comparison.effect_size is None
    assert comparison.note == f"too few seeds ({seeds}, needs 5)"


def test_the_sign_flip_test_counts_every_pattern() -> None:
    differences = np.array([1.0, 2.0, -0.5, 3.0, 1.5, 2.5])
    extreme = sum(abs(np.dot(signs, differences)) >= differences.sum() for signs in product([-1, 1], repeat=6))
    assert statistics.compare_blocks(differences).p == pytest.approx(extreme / 2**6)
    assert statistics.compare_blocks(np.ones(6) + 0.01 * np.arange(6)).p == pytest.approx(2 / 2**6)
    assert "too few weightings (5" in statistics.compare_blocks(differences[:5]).note


@pytest.mark.slow
@given(st.lists(st.integers(-5, 5), min_size=6, max_size=9))
def test_the_sign_flip_test_is_exact_with_ties(differences: list[int]) -> None:
    signed_sums = [abs(np.dot(signs, differences)) for signs in product([-1, 1], repeat=len(differences))]
    extreme = np.mean(np.array(signed_sums) >= abs(sum(differences)))
    assert statistics.compare_blocks(np.array(differences)).p == extreme


@pytest.mark.parametrize(
    ("blocks", "p"),
    [(6, 0.28125), (9, 0.265625), (14, 0.2333984375), (15, 0.09185230393652731), (20, 0.17796765334147086)],
)
def test_the_sign_flip_test_gives_the_figures_it_gave_before_it_was_scipys(blocks: int, p: float) -> None:
    assert statistics.compare_blocks(np.random.default_rng(blocks).normal(0.4, 1.0, blocks)).p == p


def test_holm_is_between_no_correction_and_bonferroni() -> None:
    corrected = statistics.holm(np.array([0.01, 0.04, np.nan, 0.03]))
    assert corrected == pytest.approx([0.03, 0.06, np.nan, 0.06], nan_ok=True)


@pytest.mark.slow
def test_holm_gives_the_figures_of_statsmodels() -> None:
    p_values = np.array([0.001, 0.04, np.nan, 0.03, 0.03, 0.9, 0.0125])
    tested = ~np.isnan(p_values)
    expected = multipletests(p_values[tested], method="holm")[1]
    assert statistics.holm(p_values)[tested].tolist() == expected.tolist()
    assert np.isnan(statistics.holm(p_values)[~tested]).all()
    assert np.isnan(statistics.holm(np.full(3, np.nan))).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values: list[float]) -> None:
    corrected = statistics.holm(np.array(p_values))
    for (p, c), (q, d) in product(zip(p_values, corrected, strict=True), repeat=2):
        assert p <= c <= 1 and (p > q or c <= d)


def test_rankings_agree_or_are_reversed() -> None:
    ranking = np.arange(6.0)
    assert statistics.rank_agreement(ranking, 10 * ranking)[0] == pytest.approx(1.0)
    assert statistics.rank_agreement(ranking, -ranking)[0] == pytest.approx(-1.0)
    assert statistics.rank_agreement(ranking[:4], ranking[:4])[1:] == (None, "too few weightings (4, needs 5)")


def test_membership_is_sure_for_the_clearly_best_and_even_between_equals() -> None:
    generator = np.random.default_rng(0)
    clear = np.array([[0.0, 0.0], [5.0, 5.0]]) + 0.1 * generator.normal(size=(5, 2, 2))
    assert statistics.membership_probability(clear).tolist() == [1.0, 0.0]
    shared_luck = generator.normal(size=(5, 1, 1)) + np.array([[0.0], [1.0]])
    assert statistics.membership_probability(shared_luck).tolist() == [1.0, 0.0]


@pytest.mark.slow
@given(arrays(float, st.tuples(st.integers(2, 4), st.integers(1, 5), st.integers(1, 3)), elements=st.integers(0, 3)))
@settings(max_examples=20)
def test_membership_is_the_share_of_samples_in_which_no_other_method_dominates(values: NDArray[np.float64]) -> None:
    seeds, mean = len(values), values.mean(axis=0)
    draws = np.random.default_rng(20240910).multinomial(seeds, np.full(seeds, 1 / seeds), size=2000) / seeds
    samples = mean + np.sqrt(seeds / (seeds - 1)) * np.einsum("rs,smk->rmk", draws, values - mean)
    no_worse = (samples[:, :, None] <= samples[:, None, :]).all(axis=3)
    dominated = (no_worse & ~no_worse.transpose(0, 2, 1)).any(axis=1)
    assert statistics.membership_probability(values).tolist() == (~dominated).mean(axis=0).tolist()


@pytest.mark.parametrize(("bad", "note"), [(np.nan, "missing"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_a_method_without_finite_metrics_has_no_probability_and_beats_nobody(bad: float, note: str) -> None:
    selected = pd.DataFrame(
        {"weighting": ["ew", "ew", "uw", "uw"], "optimizer": "adam", "seed": [0, 1, 0, 1], "cell_key": list("aabb"),
         "test_t_x": [1.0, 2.0, 3.0, bad]}
    )  # fmt: skip
    found = pareto_probability(selected, [Objective("t", "x", higher_is_better=False)])
    assert found["probability"].tolist()[0] == 1.0 and np.isnan(found["probability"].tolist()[1])
    assert found["note"].tolist()[1] == f"a metric is {note}"


def test_sensitivity_is_the_unbroken_range_around_the_best() -> None:
    cells = pd.DataFrame(
        {"weighting": "ew", "optimizer": "adam", "lr": [1.0, 0.1, 0.01, 0.001], "mean": [4.0, 20.0, 3.0, 0.0]}
    )
    row = learning_rate_sensitivity(cells, cells, tolerance=5.0).iloc[0]
    assert (row["best_lr"], row["low_lr"], row["high_lr"]) == (0.001, 0.001, 0.01)
    assert row["decades"] == pytest.approx(1.0) and row["open_end"] == "low" and row["tried"] == 4


def test_a_rate_at_which_trials_diverged_closes_the_range() -> None:
    cells = pd.DataFrame({"weighting": "ew", "optimizer": "adam", "lr": [0.01, 0.001], "mean": [3.0, 4.0]})
    assert learning_rate_sensitivity(cells, cells)["open_end"].item() == "both"
    diverged = pd.DataFrame({"weighting": "ew", "optimizer": "adam", "lr": [0.1]})
    assert learning_rate_sensitivity(cells, pd.concat([cells, diverged]))["open_end"].item() == "low"


def analysis_of(seeds: int, generator_seed: int = 0, **truth: Any) -> SuiteAnalysis:
    sweep = simulate_sweep(
        learning_rates=(1e-3,),
        seeds=seeds,
        epochs=1,
        truth=Truth(**truth),
        generator_seed=generator_seed,
    )
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


@pytest.mark.slow
def test_two_seeds_give_no_p_value_but_the_overall_question_has_one() -> None:
    table = analysis_of(seeds=2).comparisons
    by_question = table.groupby("question")["p"]
    assert by_question.count().to_dict() == {"optimizer": 0, "optimizer overall": 3, "weighting": 0}
    assert by_question.size().to_dict() == {"optimizer": 21, "optimizer overall": 3, "weighting": 18}


@pytest.mark.slow
def test_clear_differences_are_found_with_their_sign_and_size() -> None:
    table = analysis_of(seeds=6, noise=0.5).comparisons
    adam_sgd = table[(table["question"] == "optimizer") & (table["a"] == "adam") & (table["b"] == "sgd")]
    assert (adam_sgd["p_holm"] < 0.01).all() and (adam_sgd["p"] <= adam_sgd["p_holm"]).all()
    assert adam_sgd["difference"].mean() == pytest.approx(
        -(8.0 + 8.0), abs=0.5
    )  # effect 6 - 14, and a decade off its best rate


def test_selected_methods_without_a_shared_seed_are_not_paired() -> None:
    selected = pd.DataFrame(
        {"weighting": ["ew", "ew"], "optimizer": ["adam", "sgd"], "seed": [0, 1], "cell_key": ["a", "b"],
         "test_delta_m": [1.0, 2.0], "test_t_x": [1.0, 2.0]}
    )  # fmt: skip
    assert compare_methods(selected)["note"].tolist()[0] == "no seed in common"
    assert compare_rankings(selected)["note"].tolist() == ["fewer than two weightings in common"]
    probability = pareto_probability(selected, [Objective("t", "x", higher_is_better=False)])
    assert probability["probability"].isna().all() and set(probability["note"]) == {"fewer than two seeds in common"}


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "least"), [(3, 0.93), (5, 0.92), (10, 0.93)])
def test_intervals_cover_the_truth_as_often_as_they_promise(seeds: int, least: float) -> None:
    generator = np.random.default_rng(seeds)
    low, high, _ = statistics.mean_interval(generator.normal(size=(seeds, 4000)))
    covered = float(np.mean((low <= 0) & (high >= 0)))
    assert least <= covered <= 0.985


@pytest.mark.slow
def test_skewed_values_are_covered_where_the_bootstrap_speaks() -> None:
    low, high, _ = statistics.mean_interval(np.random.default_rng(0).exponential(size=(10, 4000)))
    assert np.mean((low <= 1) & (high >= 1)) >= 0.92


def null_sweep(seeds: int, generator: np.random.Generator) -> pd.DataFrame:
    """Selected trials of 7 weightings x 3 optimizers that are all the same but for luck, a part of it shared by seed."""
    index = pd.MultiIndex.from_product([list("abcdefg"), ["adam", "sgd", "signsgd"], range(seeds)])
    selected = index.to_frame(name=["weighting", "optimizer", "seed"], index=False).replace({"weighting": {"a": "ew"}})
    luck = generator.normal(size=len(selected)) + generator.normal(size=seeds)[selected["seed"]]
    return selected.assign(test_delta_m=10 + luck)


@pytest.mark.slow
def test_no_difference_is_found_where_there_is_none() -> None:
    """Single tests err at 5 %, whole Holm families and the overall question at most at 5 %, over 100 sweeps."""
    generator = np.random.default_rng(1)
    tables = [compare_methods(null_sweep(6, generator)) for _ in range(100)]
    every = pd.concat(tables).groupby("question")["p"].agg(lambda p: (p < 0.05).mean())
    assert every["optimizer"] == pytest.approx(0.05, abs=0.015) and every["weighting"] == pytest.approx(0.05, abs=0.02)
    tolerance = 2 * np.sqrt(0.05 * 0.95 / len(tables))
    for question in ("optimizer", "weighting", "optimizer overall"):
        families = [(table.loc[table["question"] == question, "p_holm"] < 0.05).any() for table in tables]
        assert np.mean(families) <= 0.05 + tolerance


@pytest.mark.slow
def test_the_interval_of_a_method_covers_its_true_delta_m() -> None:
    """Baselines have noise of their own, so the truth is relative to the baseline found."""
    covered = []
    truth = Truth(shared_noise=0.0)
    for generator_seed in range(25):
        sweep = simulate_sweep(learning_rates=(1e-3,), seeds=5, epochs=1, truth=truth, generator_seed=generator_seed)
        baselines = select_baselines(sweep.baseline_curves, sweep.baseline_outcomes, OBJECTIVES)
        trials = measure_trials(sweep.sweep_curves, sweep.sweep_outcomes, baselines, OBJECTIVES)
        trials = with_delta_m(trials, baselines, OBJECTIVES)
        results = results_by_cell(trials, select_learning_rates(trials), OBJECTIVES)
        found = baselines.table.set_index(["task", "metric"])["test_mean"]
        for row in results.itertuples():
            percent = (
                truth.weighting_effect[row.weighting]
                + truth.optimizer_effect[row.optimizer]
                + 8.0 * (row.optimizer == "sgd")
            )
            changes = [
                1 - base * (1 - percent / 100) / found[(task, "accuracy")]
                for task, base in (("left", 0.84), ("right", 0.87))
            ]
            changes.append(0.40 * (1 + percent / 100) / found[("mass", "mae")] - 1)
            covered.append(row.test_delta_m_low <= 100 * np.mean(changes) <= row.test_delta_m_high)
    assert len(covered) == 525 and 0.92 <= np.mean(covered) <= 0.98
