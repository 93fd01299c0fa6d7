"""An optimizer's lead has two parts: what single-task training has, too, and a multi-task gap that is smaller."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mtlsweep.analysis.baselines import select_baselines
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.report.answer import answer
from mtlsweep.report.figures.figure import render
from mtlsweep.report.figures.methods import leads
from mtlsweep.report.suite import SuiteReport
from mtlsweep.testing.simulated_sweep import SimulatedSweep, Truth, simulate_sweep

pytestmark = pytest.mark.slow

EFFECTS = {"adam": 6.0, "sgd": 14.0}
SINGLE_TASK_SGD = 5.0
"""How many percent worse single-task training with SGD is in every metric; the rest of SGD's 8 is a larger gap."""


def simulated(seeds: int = 5) -> SimulatedSweep:
    truth = Truth({"ew": 0.0, "uw": 1.0}, EFFECTS, noise=0.3)
    return simulate_sweep(learning_rates=(1e-2, 1e-3), seeds=seeds, epochs=2, truth=truth)


def with_sgd(sweep: SimulatedSweep) -> SimulatedSweep:
    """Add baselines that are worse in every metric, trained with SGD."""
    curves, outcomes = sweep.baseline_curves, sweep.baseline_outcomes
    sign = curves["metric"].map({"accuracy": -1.0, "r2": -1.0}).fillna(1.0)
    worse = curves.assign(
        trial_key=curves["trial_key"] + "s", value=curves["value"] * (1 + sign * SINGLE_TASK_SGD / 100)
    )
    keys = {name: outcomes[name] + "s" for name in ("trial_key", "cell_key")}
    return replace(
        sweep,
        baseline_curves=pd.concat([curves, worse], ignore_index=True),
        baseline_outcomes=pd.concat([outcomes, outcomes.assign(optimizer="sgd", **keys)], ignore_index=True),
    )


def analysed(sweep: SimulatedSweep) -> SuiteAnalysis:
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


@pytest.fixture(scope="module")
def analysis() -> SuiteAnalysis:
    return analysed(with_sgd(simulated()))


@pytest.fixture(scope="module")
def alone() -> SuiteAnalysis:
    """With baselines of one optimizer."""
    return analysed(simulated())


def test_the_best_baselines_stay_the_definition(analysis: SuiteAnalysis, alone: SuiteAnalysis) -> None:
    assert set(analysis.baselines["optimizer"]) == {"adam"}
    pd.testing.assert_frame_equal(analysis.baselines.drop(columns="optimizer"), alone.baselines)
    pd.testing.assert_frame_equal(analysis.results[list(alone.results)], alone.results)


def test_delta_m_against_the_own_optimizer_stands_beside_it(analysis: SuiteAnalysis) -> None:
    results = analysis.results.set_index(["weighting", "optimizer"])
    best, own = results["test_delta_m_mean"], results["test_own_delta_m_mean"]
    assert own["ew", "adam"] == pytest.approx(best["ew", "adam"])
    assert own["ew", "sgd"] == pytest.approx(EFFECTS["sgd"] - SINGLE_TASK_SGD, abs=2.0)
    assert {"test_own_delta_m_low", "test_own_delta_m_high"} <= set(results)
    assert {"val_own_delta_m", "test_own_delta_m"} <= set(analysis.trials)


def test_a_lead_is_the_sum_of_its_parts_and_both_are_found(analysis: SuiteAnalysis) -> None:
    (lead,) = analysis.leads.to_dict("records")
    assert (lead["a"], lead["b"], lead["weightings"], lead["seeds"]) == ("adam", "sgd", 2, 5)
    assert lead["difference"] == pytest.approx(lead["single_task"] + lead["gap"])
    truth = {"difference": -8.0, "single_task": -SINGLE_TASK_SGD, "gap": SINGLE_TASK_SGD - 8.0}
    for part, true in truth.items():
        assert lead[part] == pytest.approx(true, abs=0.7)
        assert lead[f"{part}_low"] < lead[part] < lead[f"{part}_high"]


def test_both_leads_are_tested_over_seeds_and_corrected_for_the_number_of_pairs() -> None:
    """SGD is behind with a gap of its own; a third optimizer is Adam but for noise."""
    truth = Truth({"ew": 0.0, "uw": 1.0}, {**EFFECTS, "signsgd": EFFECTS["adam"]}, noise=0.3)
    sweep = with_sgd(simulate_sweep(learning_rates=(1e-2, 1e-3), seeds=5, epochs=2, truth=truth))
    adams = sweep.baseline_outcomes[sweep.baseline_outcomes["optimizer"] == "adam"]
    keys = {name: adams[name] + "t" for name in ("trial_key", "cell_key")}
    curves = sweep.baseline_curves
    of_adam = curves[curves["trial_key"].isin(adams["trial_key"])]
    third = replace(
        sweep,
        baseline_curves=pd.concat([curves, of_adam.assign(trial_key=of_adam["trial_key"] + "t")], ignore_index=True),
        baseline_outcomes=pd.concat(
            [sweep.baseline_outcomes, adams.assign(optimizer="signsgd", **keys)], ignore_index=True
        ),
    )
    analysis = analysed(third)
    found = analysis.leads.set_index(["a", "b"])
    for part, true in (("difference", -8.0), ("gap", SINGLE_TASK_SGD - 8.0)):
        p = found[f"{part}_p_holm"]
        assert found.loc[("adam", "sgd"), part] == pytest.approx(true, abs=0.7)
        assert p["adam", "sgd"] < 0.05 < p["adam", "signsgd"]
    chosen = analysis.trials[analysis.trials["cell_key"].isin(analysis.results["cell_key"])]
    means = chosen.pivot_table(index="seed", columns="optimizer", values="test_delta_m", observed=True)
    raw = [stats.ttest_rel(means[a], means[b]).pvalue for a, b in found.index]
    assert found["difference_p_holm"].to_numpy() == pytest.approx(multipletests(raw, method="holm")[1])


def test_with_too_few_seeds_a_lead_has_an_interval_and_no_test() -> None:
    analysis = analysed(with_sgd(simulated(seeds=3)))
    assert analysis.leads["difference_low"].notna().all()
    assert analysis.leads.filter(like="_p_holm").isna().all(axis=None)


def test_optimizers_that_cannot_be_compared_over_weightings_are_named_in_one_sentence(analysis: SuiteAnalysis) -> None:
    (sentence,) = (
        line for line in answer(analysis).sentences if "cannot be tested" in line and "over weightings" in line
    )
    assert sentence.startswith(
        "Which of adam and sgd is better over weightings cannot be tested: too few weightings (2"
    )


def test_the_difference_is_that_of_the_comparison_of_optimizers(analysis: SuiteAnalysis) -> None:
    overall = analysis.comparisons.set_index("question").loc["optimizer overall"]
    assert analysis.leads["difference"].item() == pytest.approx(overall["difference"])


def test_the_page_says_it_in_one_sentence_and_draws_it(analysis: SuiteAnalysis) -> None:
    (sentence,) = (line for line in answer(analysis).sentences if "single-task training with adam has, too" in line)
    assert sentence.startswith("Of the 8.")
    assert re.search(r"ahead of sgd \(95 % interval 7\.\d to 8\.\d\), 5\.\d \([45]\.\d to 5\.\d\) are a lead", sentence)
    assert "a multi-task gap that is smaller (2 weightings, 5 seeds)" in sentence
    report = SuiteReport("simulated", analysis, {})
    assert "leads" in [figure.name for figure in report.figures]
    figure = leads(analysis)
    assert figure is not None
    assert render(figure)["png"].startswith(b"\x89PNG")
    headings = [column.heading for table in report.tables if table.name == "results" for column in table.columns]
    assert headings[2:4] == ["Δm %", "against own optimizer %"]


def test_with_one_seed_there_is_no_interval() -> None:
    analysis = analysed(with_sgd(simulated(seeds=1)))
    assert analysis.leads.filter(like="_low").isna().all(axis=None)
    (sentence,) = (line for line in answer(analysis).sentences if "single-task training with adam has, too" in line)
    assert "interval" not in sentence


def test_with_one_optimizer_of_baselines_there_is_nothing_to_say(alone: SuiteAnalysis) -> None:
    assert alone.leads.empty
    assert not [name for table in (alone.trials, alone.results) for name in table if "own" in name]
    assert leads(alone) is None


def test_an_optimizer_that_diverged_in_a_task_has_no_baseline_of_its_own() -> None:
    sweep = with_sgd(simulated(seeds=2))
    outcomes = sweep.baseline_outcomes
    lost = (outcomes["optimizer"] == "sgd") & (outcomes["task"] == "left")
    outcomes = outcomes.assign(outcome=outcomes["outcome"].mask(lost, "diverged"))
    assert list(select_baselines(sweep.baseline_curves, outcomes, sweep.objectives).by_optimizer) == ["adam"]
    analysis = analysed(replace(sweep, baseline_outcomes=outcomes))
    own = analysis.results.set_index("optimizer")["test_own_delta_m_mean"]
    assert own["sgd"].isna().all()
    assert own["adam"].notna().all()


def test_a_compared_value_in_a_name_does_not_hide_the_own_optimizer() -> None:
    sweep = with_sgd(simulated(seeds=2))
    named = sweep.sweep_outcomes["optimizer"] + " [batch_size=32]"
    analysis = analysed(replace(sweep, sweep_outcomes=sweep.sweep_outcomes.assign(optimizer=named)))
    assert analysis.results["test_own_delta_m_mean"].notna().all()
    assert analysis.leads[["a", "b"]].to_numpy().tolist() == [["adam [batch_size=32]", "sgd [batch_size=32]"]]
