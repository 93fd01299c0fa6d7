"""The answer in sentences says what the numbers say, and how sure they are."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mtlsweep.analysis.suite import analyse_suite
from mtlsweep.report.answer import answer
from mtlsweep.testing.simulated_sweep import WEIGHTINGS, SimulatedSweep, Truth, simulate_sweep

pytestmark = pytest.mark.slow

SAME = dict.fromkeys(["adam", "sgd", "signsgd"], 5.0)


def answer_of(sweep: SimulatedSweep) -> str:
    analysis = analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )
    return "\n".join(answer(analysis).sentences)


def simulated(seeds: int = 2, **truth: Any) -> SimulatedSweep:
    return simulate_sweep(seeds=seeds, epochs=2, truth=Truth(**truth))


@pytest.fixture(scope="module")
def text() -> str:
    """The answer of two seeds with little noise."""
    return answer_of(simulated(seeds=2, noise=0.2))


def test_the_first_sentence_is_the_best_method_with_its_uncertainty() -> None:
    text = answer_of(simulated(seeds=5, noise=0.2))
    assert text.startswith("Best on validation: ew with adam at learning rate 0.001; on test it is 5.9")
    assert (
        "% worse than single-task learning (95 % interval" in text.splitlines()[0]
        and "5 seeds)" in text.splitlines()[0]
    )


def test_fronts_and_domination_are_put_in_words(text: str) -> None:
    assert "sgd 0 times, signsgd 0 times" in text
    assert "Every sgd run is dominated by some adam run" in text


def test_equal_numbers_of_runs_are_counted_and_raw_counts_are_named_so(text: str) -> None:
    assert "of 42 at the selected learning rates are Pareto-optimal over the 3 metrics that count in Δm: adam" in text
    assert "Among all 112 finished runs the raw counts are: adam 2 of 42, sgd 0 of 28, signsgd 0 of 42." in text


def test_few_seeds_are_said_instead_of_a_p_value_but_the_overall_question_is_answered(text: str) -> None:
    assert "With 2 seeds no single pair of methods can be tested; 5 are needed." in text
    assert (
        "Over 7 weightings adam is better than sgd by" in text and "exact sign-flip test, p = 0.047 after Holm" in text
    )
    assert "wide since they are few" in text


def test_no_difference_is_claimed_where_none_is() -> None:
    text = answer_of(simulated(seeds=5, noise=3.0, optimizer_effect=SAME, best_log10_lr=dict.fromkeys(SAME, -3.0)))
    assert "no difference between adam and sgd is established" in text
    assert "comparisons within one weighting are significant at 5 % after Holm's correction" in text


def test_one_seed_has_no_uncertainty_and_says_so() -> None:
    assert "(one seed: no uncertainty is known)" in answer_of(simulated(seeds=1))


def test_diverged_trials_and_ends_of_the_tried_range_are_mentioned() -> None:
    text = answer_of(simulated())
    assert "14 of 126 trials diverged: sgd 14 of 42." in text


def test_lists_whose_last_learning_rate_was_selected_are_named_with_the_side_to_extend() -> None:
    """SGD's best rate is inside of its list, since the one above it diverged."""
    (sentence,) = (line for line in answer_of(simulated()).splitlines() if "lists" in line)
    assert sentence == (
        "The best learning rates are at an end of their lists: extend those of adam downwards "
        "(7 of 7 weightings), of signsgd downwards (7 of 7 weightings) and of single-task adam downwards (3 of 3 tasks)."
    )
    inside = dict.fromkeys(SAME, -2.0)
    text = answer_of(simulate_sweep((1e-1, 1e-2, 1e-3, 1e-4), seeds=2, epochs=2, truth=Truth(best_log10_lr=inside)))
    assert "lists" not in text


def test_first_come_a_headline_and_at_most_five_sentences_and_nothing_is_said_twice() -> None:
    for seeds in (1, 2, 5):
        sweep = simulated(seeds=seeds, noise=1.0)
        analysis = analyse_suite(
            sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
        )
        found = answer(analysis)
        assert found.sentences == [found.headline, *found.essentials, *found.further]
        assert len(found.essentials) <= 5 and len(set(found.sentences)) == len(found.sentences)
        assert found.further
        assert len(" ".join([found.headline, *found.essentials])) < 1100


def test_nothing_finished_is_an_answer_too() -> None:
    sweep = simulated()
    outcomes = sweep.sweep_outcomes.assign(outcome="diverged")
    text = answer_of(SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, outcomes))
    assert text.splitlines()[0].startswith("No method has a learning rate at which every seed finished")
    assert "126 of 126 trials diverged" in text


@pytest.mark.parametrize("metric", ["accuracy", "mae"])
def test_runs_with_a_missing_metric_are_counted_out_loud(metric: str) -> None:
    sweep = simulated()
    curves = sweep.sweep_curves.copy()
    finished = sweep.sweep_outcomes.loc[sweep.sweep_outcomes["outcome"] == "done", "trial_key"].iloc[0]
    curves.loc[
        (curves["trial_key"] == finished) & (curves["split"] == "test") & (curves["metric"] == metric), "value"
    ] = float("nan")
    text = answer_of(SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, curves, sweep.sweep_outcomes))
    assert "1 run with a missing metric was left out of the fronts." in text


@pytest.mark.parametrize(
    ("effect", "bounds"),
    [
        (20.0, r"interval \d+\.\d\d to \d+\.\d\d % worse, "),
        (0.0, r"interval \d+\.\d\d % better to \d+\.\d\d % worse, "),
        (-20.0, r"interval \d+\.\d\d to \d+\.\d\d % better, "),
    ],
)
def test_bounds_of_the_interval_say_on_which_side_of_single_task_learning_they_are(effect: float, bounds: str) -> None:
    alike = {"weighting_effect": dict.fromkeys(WEIGHTINGS, effect), "best_log10_lr": dict.fromkeys(SAME, -3.0)}
    headline = answer_of(simulated(seeds=5, noise=3.0, optimizer_effect=SAME, **alike)).splitlines()[0]
    low, high = (float(bound) for bound in re.findall(r"\d+\.\d\d", re.search(bounds, headline).group()))  # type: ignore[union-attr]
    assert effect == 0.0 or low < high


def test_the_headline_has_the_interval_with_the_search_and_the_luck_of_the_best() -> None:
    alike = {"weighting_effect": dict.fromkeys(WEIGHTINGS, 0.0), "best_log10_lr": dict.fromkeys(SAME, -3.0)}
    headline = answer_of(simulated(seeds=5, noise=3.0, optimizer_effect=SAME, **alike)).splitlines()[0]
    assert "% worse, search included, 5 seeds); on validation the best of 56 settings is about " in headline
    points = float(headline.split("is about ")[1].split(" points")[0])
    assert 0.0 < points < 3.0


def test_two_seeds_say_that_the_search_is_not_in_their_interval() -> None:
    headline = answer_of(simulated(seeds=2)).splitlines()[0]
    assert (
        "2 seeds, wide since they are few; without search); on validation the best of 56 settings is about" in headline
    )


def test_what_more_seeds_would_decide_stands_with_what_is_decided() -> None:
    few, more = (answer_of(simulated(seeds=seeds, noise=3.0)).splitlines() for seeds in (2, 5))
    (sentence,) = [line for line in few if "no single pair" in line]
    assert re.search(r"needed\. \d+ seeds would decide \d+ of 39 open ones\.$", sentence)
    (sentence,) = [line for line in more if "after Holm's correction" in line]
    assert re.match(r"\d+ of 18 comparisons against ew .* and \d+ of 21 comparisons within one weighting", sentence)
    assert re.search(r"; \d+ seeds would decide \d+ of \d+ open ones\.$", sentence)


@pytest.mark.parametrize(("seeds", "sentences", "letters"), [(2, 15, 1802), (5, 16, 1906)])
def test_what_was_added_replaces_what_it_makes_obsolete(seeds: int, sentences: int, letters: int) -> None:
    """Counted before intervals included the search, and before anything was said of luck and of further seeds."""
    text = answer_of(simulated(seeds=seeds, noise=1.0))
    assert len(text.splitlines()) < sentences and len(text) <= letters + 40  # half a line
