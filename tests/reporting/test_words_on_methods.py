"""Sentences on optimizers and methods: who is ahead of whom, how sure that is, and what more seeds would decide."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from mtlsweep.report.sentences import differences
from tests.reporting.hand_made import hand_made, results

NAN = float("nan")


# Optimizers


def lead(a: str, b: str, difference: float, single: float, seeds: int = 5, **changes: Any) -> dict[str, Any]:
    """Return a row of the table of leads; every interval reaches half a point either way."""
    row: dict[str, Any] = {"a": a, "b": b, "weightings": 7, "seeds": seeds}
    for part, value in {"difference": difference, "single_task": single, "gap": difference - single}.items():
        row |= {part: value, f"{part}_low": value - 0.5, f"{part}_high": value + 0.5, f"{part}_p_holm": 0.01}
    return row | changes


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            lead("adam", "sgd", -3.0, -1.0),
            "Of the 3.0 points of Δm by which adam is ahead of sgd (95 % interval 2.5 to 3.5), 1.0 (0.5 to 1.5) are a lead that "
            "single-task training with adam has, too, and 2.0 (1.5 to 2.5) are a multi-task gap that is smaller "
            "(7 weightings, 5 seeds).",
        ),
        (
            lead("adam", "sgd", 2.0, 2.25, weightings=1),
            "Of the 2.0 points of Δm by which sgd is ahead of adam (95 % interval 1.5 to 2.5), 2.2 (1.8 to 2.8) are a lead that "
            "single-task training with sgd has, too, and -0.2 (-0.8 to 0.2, not separated from chance) are a multi-task gap that "
            "is larger (1 weighting, 5 seeds).",
        ),
        (
            lead("adam", "sgd", -3.0, -1.0, seeds=2, single_task_p_holm=NAN),
            "Of the 3.0 points of Δm by which adam is ahead of sgd (95 % interval 2.5 to 3.5), 1.0 (0.5 to 1.5, not tested) are a "
            "lead that single-task training with adam has, too, and 2.0 (1.5 to 2.5) are a multi-task gap that is smaller "
            "(7 weightings, 2 seeds, few seeds).",
        ),
    ],
    ids=["a ahead", "b ahead", "few seeds"],
)
def test_a_lead_names_who_is_ahead_and_how_much_of_it_single_task_training_has(
    row: dict[str, Any], sentence: str
) -> None:
    assert list(differences.lead(hand_made(results=results({}), leads=pd.DataFrame([row])))) == [sentence]


def test_a_lead_of_one_seed_has_no_interval() -> None:
    ends = {f"{part}_{end}": NAN for part in ("difference", "single_task", "gap") for end in ("low", "high", "p_holm")}
    (sentence,) = differences.lead(
        hand_made(results=results({}), leads=pd.DataFrame([lead("adam", "sgd", -3.0, -1.0, seeds=1, **ends)]))
    )
    assert (
        "interval" not in sentence
        and "ahead of sgd, 1.0 are a lead" in sentence
        and "(7 weightings, 1 seed, few" in sentence
    )


@pytest.mark.parametrize(("optimizer", "pair"), [("adam", "adam is ahead of sgd"), ("sgd", "sgd is ahead of signsgd")])
def test_of_many_pairs_the_lead_over_the_best_methods_closest_rival_is_said(optimizer: str, pair: str) -> None:
    leads = [lead("adam", "sgd", -3.0, -1.0), lead("adam", "signsgd", -9.0, -1.0), lead("sgd", "signsgd", -6.0, -1.0)]
    if optimizer == "sgd":  # adam is behind in the table of leads, though its best method is ahead
        leads[0] = lead("adam", "sgd", 8.0, 1.0)
    analysis = hand_made(results=results({"optimizer": optimizer}), leads=pd.DataFrame(leads))
    (sentence,) = differences.lead(analysis)
    assert f"by which {pair}" in sentence and sentence.endswith("; the table of leads has all 3 pairs.")
    assert list(differences.lead(hand_made())) == []


def compared(question: str, a: str, b: str, difference: float, p: float, **changes: Any) -> dict[str, Any]:
    row = {
        "question": question,
        "within": "w",
        "a": a,
        "b": b,
        "pairs": 7,
        "difference": difference,
        "p": p,
        "p_holm": p,
    }
    return row | {"low": difference - 1, "high": difference + 1, "note": "", "seeds_to_settle": NAN} | changes


def test_optimizers_that_differ_over_weightings_are_said_before_those_of_which_nothing_is_established() -> None:
    table = pd.DataFrame([
        compared("optimizer overall", "adam", "signsgd", 0.4, 0.8),
        compared("optimizer overall", "adam", "sgd", 3.0, 0.0004),
        compared("weighting", "uw", "ew", 1.0, 0.01),
    ])  # fmt: skip
    said = list(differences.optimizers_overall(hand_made(results=results({"optimizer": "sgd"}), comparisons=table)))
    assert said == [
        "Over 7 weightings sgd is better than adam by 3.0 points of Δm on average (95 % interval 2.0 to 4.0; exact sign-flip "
        "test, p < 0.001 after Holm).",
        "Over 7 weightings no difference between adam and signsgd is established (signsgd ahead by 0.4 points of Δm, p = 0.800 "
        "after Holm).",
    ]


def test_the_side_that_is_ahead_follows_the_sign_of_the_difference() -> None:
    for difference, better in ((-3.0, "adam is better than sgd"), (3.0, "sgd is better than adam")):
        table = pd.DataFrame([compared("optimizer overall", "adam", "sgd", difference, 0.01)])
        (sentence,) = differences.optimizers_overall(hand_made(comparisons=table))
        assert f"{better} by 3.0 points" in sentence and "interval 2.0 to 4.0" in sentence


def test_what_cannot_be_tested_is_said_once_for_all_optimizers() -> None:
    note = "too few weightings (3, needs 5)"
    pairs = [("adam", "sgd"), ("adam", "signsgd"), ("sgd", "signsgd")]
    table = pd.DataFrame([compared("optimizer overall", a, b, 1.0, NAN, note=note) for a, b in pairs])
    assert list(differences.optimizers_overall(hand_made(comparisons=table))) == [
        f"Which of adam, sgd and signsgd is better over weightings cannot be tested: {note}."
    ]


# Methods


def test_what_is_told_apart_is_counted_by_question_with_what_more_seeds_would_decide() -> None:
    rows = [compared("weighting", "uw", "ew", 1.0, p, pairs=5) for p in (0.01, 0.2)]
    rows += [compared("optimizer", "adam", "sgd", 1.0, 0.3, pairs=5, seeds_to_settle=needed) for needed in (9, 12, NAN)]
    assert list(differences.told_apart(hand_made(comparisons=pd.DataFrame(rows)))) == [
        "1 of 2 comparisons against ew within one optimizer and 0 of 3 comparisons within one weighting are significant at "
        "5 % after Holm's correction; 12 seeds would decide 2 of 4 open ones."
    ]
    settled = pd.DataFrame(rows[:1])
    (sentence,) = differences.told_apart(hand_made(comparisons=settled))
    assert (
        sentence == "1 of 1 comparisons against ew within one optimizer are significant at 5 % after Holm's correction."
    )


@pytest.mark.parametrize(
    ("seeds", "needed", "sentences"),
    [
        (
            2,
            6,
            [
                "With 2 seeds no single pair of methods can be tested; 5 are needed. 6 seeds would decide 1 of 1 open ones."
            ],
        ),
        (1, NAN, ["With 1 seed no single pair of methods can be tested; 5 are needed."]),
        (7, NAN, []),  # seeds enough: what could not be tested did not vary
    ],
)
def test_where_no_pair_can_be_tested_the_seeds_that_are_missing_are_said(
    seeds: int, needed: float, sentences: list[str]
) -> None:
    table = pd.DataFrame([compared("optimizer", "adam", "sgd", 1.0, NAN, pairs=seeds, seeds_to_settle=needed)])
    assert list(differences.told_apart(hand_made(comparisons=table))) == sentences
    overall = pd.DataFrame([compared("optimizer overall", "adam", "sgd", 1.0, 0.01)])
    assert list(differences.told_apart(hand_made(comparisons=overall))) == []


def test_rankings_without_a_test_are_left_out() -> None:
    table = pd.DataFrame(
        {"optimizer_a": ["adam", "adam"], "optimizer_b": ["sgd", "lion"], "tau": [0.714, 1.0], "p": [0.03, NAN]}
    )
    assert list(differences.rankings(hand_made(rankings=table))) == [
        "How alike optimizers rank the weightings (Kendall's τ, 1 = the same): adam and sgd τ = 0.71 (p = 0.030)."
    ]
    assert list(differences.rankings(hand_made(rankings=table[1:]))) == []
