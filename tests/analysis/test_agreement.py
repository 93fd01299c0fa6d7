"""An interval, its p value and its sentence never say two things: the interval leaves out 0 exactly where Holm's test rejects."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtlsweep.analysis.conclusions import statistics
from mtlsweep.analysis.conclusions.comparisons import compare_methods
from mtlsweep.analysis.conclusions.leads import PARTS
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.report.answer import answer
from mtlsweep.report.tables.comparisons import comparisons_table, leads_table
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep

OPTIMIZERS = ("adam", "muon", "sgd", "signsgd")


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=9))
def test_a_test_at_its_own_level_rejects_where_the_corrected_p_value_does(p_values: list[float]) -> None:
    p = np.array(p_values)
    levels, corrected = statistics.holm_levels(p), statistics.holm(p)
    clear = np.abs(corrected - 0.05) > 1e-9  # not on the bound itself, where rounding decides
    assert ((p < levels) == (corrected < 0.05))[clear].all()
    assert (levels <= 0.05 + 1e-12).all() and (levels[np.isnan(p)] == pytest.approx(0.05))


@pytest.mark.parametrize("blocks", [6, 9, 14, 16])
@pytest.mark.parametrize("level", [0.05, 0.05 / 3, 0.002])
def test_the_interval_of_the_sign_flip_test_holds_what_it_does_not_reject(blocks: int, level: float) -> None:
    generator = np.random.default_rng(blocks)
    for shift in (0.0, 0.5, 1.0):
        differences = generator.normal(shift, 1.0, blocks)
        low, high = statistics.flip_interval(differences, level)
        if low is None or high is None:
            assert 2 / 2**blocks >= level / 2, "no pattern of signs is rare enough"
            continue
        for centre, accepted in ((low - 1e-9, False), (low + 1e-9, True), (high - 1e-9, True), (high + 1e-9, False)):
            p = statistics.compare_blocks(differences - centre).p
            assert p is not None and (p >= level) == accepted


def test_the_paired_interval_is_students() -> None:
    values = np.random.default_rng(3).normal(1.0, 1.0, 7)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.99)
    found = statistics.paired_interval(values.mean(), values.std(ddof=1), 7, 0.01)
    assert found == pytest.approx((expected.low, expected.high))


def selected(generator: np.random.Generator, seeds: int, spread: float) -> pd.DataFrame:
    """Selected trials of seven weightings and three optimizers with true differences of about `spread`, skewed noise."""
    index = pd.MultiIndex.from_product([["ew", *"bcdefg"], OPTIMIZERS[:3], range(seeds)])
    table = index.to_frame(name=["weighting", "optimizer", "seed"], index=False)
    methods = {
        pair: spread * generator.normal() for pair in set(zip(table["weighting"], table["optimizer"], strict=True))
    }
    level = [methods[pair] for pair in zip(table["weighting"], table["optimizer"], strict=True)]
    return table.assign(test_delta_m=10 + np.array(level) + generator.exponential(size=len(table)))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 8])
def test_no_comparison_of_a_simulated_sweep_contradicts_itself(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    verdicts = []
    for spread in (0.0, 1.0, 3.0) * 3:
        table = compare_methods(selected(generator, seeds, spread))
        tested = table[table["p"].notna() & table["low"].notna()]
        significant = tested["p_holm"] < 0.05
        assert (significant == ((tested["low"] > 0) | (tested["high"] < 0))).all()
        assert ((tested["low"] <= tested["difference"]) & (tested["difference"] <= tested["high"])).all()
        assert not (table.loc[table["p"].notna() & table["low"].isna(), "p_holm"] < 0.05).any()
        verdicts += significant.tolist()
    assert 0.1 < np.mean(verdicts) < 0.9


def with_own_baselines(generator_seed: int, seeds: int = 5) -> SuiteAnalysis:
    """Four optimizers that differ by little, each with single-task training of its own."""
    effects = {"adam": 6.0, "muon": 5.0, "sgd": 7.0, "signsgd": 6.5}
    truth = Truth({"ew": 0.0, "uw": 0.5}, effects, dict.fromkeys(effects, -3.0), noise=1.2, diverges_above={})
    sweep = simulate_sweep((1e-3,), seeds, epochs=1, truth=truth, generator_seed=generator_seed)
    generator = np.random.default_rng(generator_seed)
    curves, outcomes = [sweep.baseline_curves], [sweep.baseline_outcomes]
    for name in OPTIMIZERS[1:]:
        keys = {key: outcomes[0][key] + name for key in ("trial_key", "cell_key")}
        outcomes.append(outcomes[0].assign(optimizer=name, **keys))
        worse = 1 + 0.01 * (effects[name] - 6.0) / 2 + 0.01 * generator.normal(size=len(curves[0]))
        higher = curves[0]["metric"].isin(["accuracy", "r2"])
        value = curves[0]["value"] * np.where(higher, 2 - worse, worse)
        curves.append(curves[0].assign(trial_key=curves[0]["trial_key"] + name, value=value))
    sweep = replace(sweep, baseline_curves=pd.concat(curves), baseline_outcomes=pd.concat(outcomes))
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


@pytest.mark.slow
def test_no_lead_contradicts_itself_in_sentence_interval_and_p_value() -> None:
    """What is said of the three parts, over sweeps in which some leads are real and small."""
    said = []
    for generator_seed in range(3):
        analysis = with_own_baselines(generator_seed)
        leads = analysis.leads
        assert len(leads) == 6
        for part in PARTS:
            outside = (leads[f"{part}_low"] > 0) | (leads[f"{part}_high"] < 0)
            assert (outside == (leads[f"{part}_p_holm"] < 0.05)).all()
        (sentence,) = (line for line in answer(analysis).sentences if line.startswith("Of the "))
        better, worse = re.findall(r"which (\w+) is ahead of (\w+)", sentence)[0]
        row = leads[leads["a"].isin([better, worse]) & leads["b"].isin([better, worse])].iloc[0]
        open_parts = sum(row[f"{part}_p_holm"] >= 0.05 for part in PARTS)
        assert sentence.count("not separated from chance") == open_parts
        assert sentence.count(" to ") == 3 and sentence.endswith("the table of leads has all 6 pairs.")
        said.append(open_parts)
        table = leads_table(analysis)
        assert table is not None and len(table.rows) == 6
        assert all(float(row[2].sort) >= 0 for row in table.rows), "a lead is shown from the side of the one ahead"
    assert min(said) < max(said)


@pytest.mark.slow
def test_the_table_of_comparisons_shows_one_interval_and_it_agrees_with_p() -> None:
    analysis = with_own_baselines(0)
    table = comparisons_table(analysis)
    headings = [column.heading for column in table.columns]
    assert headings.count("interval") == 1 and "with the search" not in headings
    assert {"search_low", "search_high"} <= set(table.data)


@pytest.mark.slow
def test_the_headline_says_that_nothing_is_separated_where_its_interval_has_both_sides() -> None:
    found = []
    for effect in (0.0, 6.0):
        truth = Truth({"ew": 0.0, "uw": 0.0}, {"adam": effect}, {"adam": -3.0}, noise=2.0)
        sweep = simulate_sweep((1e-3,), 5, epochs=1, truth=truth)
        headline = answer(
            analyse_suite(
                sweep.baseline_curves,
                sweep.baseline_outcomes,
                sweep.sweep_curves,
                sweep.sweep_outcomes,
                sweep.objectives,
            )
        ).headline
        on_both_sides = "% better to" in headline
        assert ("not separated from chance" in headline) == on_both_sides
        found.append(on_both_sides)
    assert found == [True, False]
