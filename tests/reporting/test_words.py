"""Each sentence of the answer: what it names, which way it points, how sure it is, and when it is not said."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from mtlsweep.analysis.objectives import Objective
from mtlsweep.report.sentences import best, fronts, limits
from mtlsweep.report.sentences.words import listed, p_of, times
from tests.reporting.hand_made import hand_made, results

NAN = float("nan")


# The headline


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {},
            "Best on validation: uw with adam at learning rate 0.001; on test it is 4.00 % worse than single-task learning "
            "(95 % interval 3.40 to 4.60 % worse, 5 seeds).",
        ),
        (
            {"test_delta_m_mean": -4.0, "test_delta_m_low": -4.6, "test_delta_m_high": -3.4},
            "Best on validation: uw with adam at learning rate 0.001; on test it is 4.00 % better than single-task learning "
            "(95 % interval 3.40 to 4.60 % better, 5 seeds).",
        ),
        (
            {"test_delta_m_mean": 0.5, "test_delta_m_low": -1.0, "test_delta_m_high": 2.0, "seeds": 2},
            "Best on validation: uw with adam at learning rate 0.001; on test it is 0.50 % worse than single-task learning, not "
            "separated from chance (95 % interval 1.00 % better to 2.00 % worse, 2 seeds, wide since they are few).",
        ),
        (
            {"test_delta_m_std": NAN, "test_delta_m_low": NAN, "test_delta_m_high": NAN, "seeds": 1},
            "Best on validation: uw with adam at learning rate 0.001; on test it is 4.00 % worse than single-task learning "
            "(one seed: no uncertainty is known).",
        ),
        (
            {"weighting.c": "0.4", "training.batch_size": NAN},  # this method has no batch size of its own
            "Best on validation: uw with adam at learning rate 0.001, weighting.c 0.4; on test it is 4.00 % worse than "
            "single-task learning (95 % interval 3.40 to 4.60 % worse, 5 seeds).",
        ),
        (
            {"val_delta_m_mean": NAN, "lr": NAN},  # a table from elsewhere: nothing was selected
            "Lowest Δm in the table: uw with adam; it is 4.00 % worse than single-task learning "
            "(95 % interval 3.40 to 4.60 % worse, 5 seeds).",
        ),
    ],
    ids=["worse", "better", "either", "one seed", "tuned", "not selected"],
)
def test_the_headline_names_the_method_its_direction_and_its_interval(row: dict[str, Any], sentence: str) -> None:
    table = results(row, {"weighting": "ew", "test_delta_m_mean": 1.0})
    assert best.best_method(hand_made(results=table)) == sentence


@pytest.mark.parametrize(
    ("low", "optimism", "words"),
    [
        (
            2.0,
            0.7,
            "(95 % interval 2.00 to 5.00 % worse, search included, 5 seeds); on validation the best of 12 settings is about 0.70",
        ),
        (
            NAN,
            0.7,
            "(95 % interval 3.40 to 4.60 % worse, 5 seeds; without search); on validation the best of 12 settings is about 0.70",
        ),
        (
            2.0,
            -0.2,
            "(95 % interval 2.00 to 5.00 % worse, search included, 5 seeds); on validation the best of 12 settings is about 0.00",
        ),
    ],
    ids=["search included", "search not known", "no luck"],
)
def test_the_headline_has_the_interval_of_the_whole_search_where_it_is_known(
    low: float, optimism: float, words: str
) -> None:
    repeated = pd.DataFrame({"settings": [12], "low": [low], "high": [5.0], "optimism": [optimism], "note": [""]})
    headline = best.best_method(hand_made(results=results({}), best=repeated))
    assert headline.endswith(f"{words} points too good.")


def test_without_any_finished_method_the_headline_says_so() -> None:
    nothing = hand_made(results=results({"test_delta_m_mean": NAN}))
    assert best.best_method(nothing).startswith("No method has a learning rate at which every seed finished")
    assert list(best.task_costs(nothing)) == []


def test_the_tasks_that_pay_most_and_least_are_those_of_the_best_method_and_count_in_delta_m() -> None:
    table = results({}, {"test_delta_m_mass_mean": -50.0})
    assert list(best.task_costs(hand_made(results=table))) == [
        "It costs mass most (+11.0 %) and right least (-1.0 %; positive is worse)."
    ]
    alone = (Objective("left", "accuracy", True), Objective("mass", "r2", True, in_delta_m=False))
    assert list(best.task_costs(hand_made(results=table, objectives=alone))) == []


@pytest.mark.parametrize(("fewest", "words"), [(4, "4 to 8"), (8, "8")])
def test_the_budget_is_said_where_more_than_the_learning_rate_is_tuned(fewest: int, words: str) -> None:
    table = results(
        {"weighting.c": "0.4", "optimizer.momentum": "0.9", "tried_settings": 8}, {"tried_settings": fewest}
    )
    assert list(best.budgets(hand_made(results=table))) == [
        f"Each method tried {words} settings of the learning rate and of weighting.c and optimizer.momentum (where it has "
        "that option), and got the one that is best on validation."
    ]
    assert list(best.budgets(hand_made(results=results({})))) == []


# Fronts


def counts(adam_free: int, sgd_free: int, missing: int = 0) -> pd.DataFrame:
    """Return the counts of 6 runs with adam and 4 with sgd, of which so many are dominated by no run of the other."""
    return pd.DataFrame({
        "optimizer": ["sgd", "adam"], "runs": [4, 6 + missing], "not_comparable": [0, missing], "pareto_full": [0, 3],
        "pareto_wrt_adam": [sgd_free, NAN], "pareto_wrt_sgd": [NAN, adam_free],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("adam_free", "sgd_free", "sentence"),
    [
        (6, 4, "No adam run dominates a sgd run, nor the other way round."),
        (6, 1, "No sgd run dominates any adam run; adam dominates 3 of 4 sgd runs."),
        (2, 4, "No adam run dominates any sgd run; sgd dominates 4 of 6 adam runs."),
        (5, 0, "Every sgd run is dominated by some adam run; 5 of 6 adam runs are dominated by no sgd run."),
        (0, 3, "Every adam run is dominated by some sgd run; 3 of 4 sgd runs are dominated by no adam run."),
        (5, 1, "5 of 6 adam runs are dominated by no sgd run, and 1 of 4 sgd runs by no adam run."),
    ],
)
def test_whose_runs_dominate_whose_is_said_in_the_strongest_true_form(
    adam_free: int, sgd_free: int, sentence: str
) -> None:
    assert list(fronts.head_to_head(hand_made(optimizer_counts=counts(adam_free, sgd_free)))) == [sentence]
    incomplete = counts(adam_free, sgd_free, missing=2)
    assert list(fronts.head_to_head(hand_made(optimizer_counts=incomplete))) == [sentence], "runs without a metric"


def test_pareto_optimal_runs_are_counted_by_optimizer_over_named_axes() -> None:
    members = pd.DataFrame({"trial_key": range(10)})
    axes = pd.DataFrame({"objective": ["left_accuracy", "right_accuracy", "mass_mae"]})
    tables = {"optimizer_counts": counts(5, 1), "members": members, "reference_point": axes}
    alone = hand_made(**tables, raw_members=members)
    assert list(fronts.pareto_counts(alone)) == [
        "3 runs of 10 are Pareto-optimal over the 3 metrics that count in Δm: adam 3 times, sgd 0 times."
    ]
    one = counts(5, 1).assign(pareto_full=[0, 1])
    every = hand_made(
        optimizer_counts=one, members=members, raw_members=pd.DataFrame({"trial_key": range(30)}),
        reference_point=pd.DataFrame({"objective": ["left_accuracy", "right_accuracy", "mass_mae", "mass_r2"]}),
    )  # fmt: skip
    assert list(fronts.pareto_counts(every)) == [
        "1 run of 10 at the selected learning rates is Pareto-optimal over all 4 metrics: adam 1 time, sgd 0 times."
    ]
    nobody = hand_made(**tables | {"optimizer_counts": counts(5, 1)[:0]})
    assert list(fronts.pareto_counts(nobody)) == []


def test_raw_counts_are_said_where_they_differ_and_incomplete_runs_always() -> None:
    members, more = pd.DataFrame({"trial_key": range(10)}), pd.DataFrame({"trial_key": range(30)})
    assert list(fronts.raw_counts(hand_made(raw_optimizer_counts=counts(5, 1), members=members, raw_members=more))) == [
        "Among all 10 finished runs the raw counts are: adam 3 of 6, sgd 0 of 4."
    ]
    for missing, words in ((1, "1 run with a missing metric was"), (2, "2 runs with a missing metric were")):
        same = hand_made(raw_optimizer_counts=counts(5, 1, missing), members=members, raw_members=members)
        assert list(fronts.raw_counts(same)) == [f"{words} left out of the fronts."]


# Limits


def test_lost_trials_are_counted_by_optimizer_of_all_its_trials() -> None:
    columns = ["optimizer", "done", "diverged", "pruned", "failed"]
    table = pd.DataFrame([("adam", 10, 0, 2, 1), ("sgd", 5, 3, 0, 0), ("sgd", 4, 1, 0, 0)], columns=columns)
    assert list(limits.lost_trials(hand_made(outcomes=table))) == [
        "4 of 26 trials diverged: sgd 4 of 13.",
        "1 of 26 trials failed: adam 1 of 13.",
    ]
    assert list(limits.lost_trials(hand_made(outcomes=table.assign(diverged=0, failed=0)))) == []


def test_what_a_race_cut_is_counted_and_what_might_have_won_is_named() -> None:
    columns = ["optimizer", "lr", "may_have_won"]
    table = pd.DataFrame([("adam", 0.1, False), ("sgd", 0.1, True), ("sgd", 0.01, True)], columns=columns)
    (sentence,) = limits.cuts(hand_made(cuts=table))
    assert sentence.startswith(
        "3 learning rates were cut before the last epoch; 2 of them (sgd 2) might have won at the pace of their last epoch"
    )
    assert list(limits.cuts(hand_made(cuts=table[:1]))) == [
        "1 learning rate was cut before the last epoch; none of them was catching up fast enough to win."
    ]
    (tuned,) = limits.cuts(hand_made(cuts=table.assign(**{"weighting.c": "0.4"})))
    assert tuned.startswith("3 settings were cut")
    assert list(limits.cuts(hand_made())) == []


def tried(role: str, of: str, optimizer: str, rates: tuple[float, ...]) -> list[dict[str, Any]]:
    own = {"weighting": of, "task": None} if role == "mtl" else {"weighting": "stl", "task": of}
    return [
        {"role": role, **own, "optimizer": optimizer, "lr": lr, "cell_key": f"{role} {of} {optimizer} {lr:g}"}
        for lr in rates
    ]


def test_lists_of_rates_are_to_be_extended_to_the_side_on_which_the_selected_one_is_the_last() -> None:
    rates = (0.001, 0.01, 0.1)
    trials = [
        *(row for w in ("ew", "uw") for row in tried("mtl", w, "adam", rates)),
        *tried("mtl", "ew", "sgd [training.batch_size=8]", rates),
        *tried("mtl", "ew", "lion", rates[:1]),
        *(row for task in ("left", "mass") for row in tried("stl", task, "adam", rates)),
    ]
    selected = results(
        {"weighting": "ew", "lr": 0.001},
        {"weighting": "uw", "lr": 0.01},
        {"weighting": "ew", "optimizer": "sgd [training.batch_size=8]", "lr": 0.1},
        {"weighting": "ew", "optimizer": "lion", "lr": 0.001},
    )
    baselines = pd.DataFrame({"cell_key": ["stl left adam 0.1", "stl mass adam 0.01"]})
    known = {"results": selected, "trials": pd.DataFrame(trials)}
    assert list(limits.edges(hand_made(**known, baselines=baselines))) == [
        "The best learning rates are at an end of their lists: extend those of adam downwards (1 of 2 weightings), of sgd "
        "upwards (1 of 1 weighting), of lion both ways (1 of 1 weighting) and of single-task adam upwards (1 of 2 tasks)."
    ]
    inside = known | {"results": selected[1:2]}
    assert list(limits.edges(hand_made(**inside, baselines=baselines[1:]))) == []
    assert list(limits.edges(hand_made(**known | {"results": selected.assign(val_delta_m_mean=NAN)}))) == []


# Words


def test_numbers_and_lists_in_words() -> None:
    assert [times(count, "run") for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert [p_of(p) for p in (0.0004, 0.0123)] == ["p < 0.001", "p = 0.012"]
    assert [listed(list(names)) for names in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
