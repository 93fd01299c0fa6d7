"""Pareto sets against brute force, on tables as ugly as real ones."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mtlsweep.analysis.fronts import pareto_counts
from mtlsweep.analysis.fronts import pareto_set as pareto
from mtlsweep.analysis.objectives import Objective

# few distinct values make ties and duplicates the rule
UGLY = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, 1e-300, -1e300, np.inf, -np.inf, np.nan])


def tables(least_rows: int = 0) -> st.SearchStrategy[NDArray[np.float64]]:
    shapes = st.tuples(st.integers(least_rows, 14), st.integers(1, 10))
    return shapes.flatmap(lambda shape: arrays(float, shape, elements=UGLY))


def dominates(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(tables())
def test_members_are_those_that_no_other_dominates(points: NDArray[np.float64]) -> None:
    clean = [not np.isnan(p).any() for p in points]
    expected = [c and not any(dominates(q, p) for q in points) for p, c in zip(points, clean, strict=True)]
    assert pareto.nondominated(points).tolist() == expected


@given(tables(least_rows=2), st.integers(0, 13))
def test_a_group_dominates_what_one_of_its_members_dominates(points: NDArray[np.float64], split: int) -> None:
    mine, others = points[: split % len(points)], points[split % len(points) :]
    expected = [any(dominates(q, p) for q in others) for p in mine]
    assert pareto.dominated_by(mine, others).tolist() == expected


@pytest.mark.parametrize("objectives", [2, 5, 10])
def test_large_tables_agree_with_brute_force_too(objectives: int) -> None:
    """Beyond one block of the bit table and beyond one word of it."""
    generator = np.random.default_rng(objectives)
    points = generator.integers(0, 60, size=(6000, objectives)).astype(float)
    mine, others = points[:700], points[700:]
    nowhere_worse, somewhere_better = others[None] <= mine[:, None], others[None] < mine[:, None]
    expected = np.any(nowhere_worse.all(2) & somewhere_better.any(2), axis=1)
    assert np.array_equal(pareto.dominated_by(mine, others), expected)


def test_duplicates_of_a_member_are_all_members() -> None:
    assert pareto.nondominated(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist() == [True, True, False]


@given(tables(least_rows=1))
def test_monotone_rescaling_changes_no_member(points: NDArray[np.float64]) -> None:
    finite = np.nan_to_num(points, nan=7.0, posinf=9.0, neginf=-9.0).clip(-9, 9)
    assert np.array_equal(pareto.nondominated(finite), pareto.nondominated(np.arctan(finite)))


RUNS = pd.DataFrame(
    {
        "trial_key": list("abcdef"),
        "weighting": ["ew", "uw", "ew", "uw", "ew", "uw"],
        "optimizer": ["adam", "adam", "sgd", "sgd", "sgd", "adam"],
        "test_t_acc": [0.9, 0.7, 0.8, 0.7, np.nan, 0.7],
        "test_t_err": [0.2, 0.1, 0.3, 0.1, 0.0, 0.5],
    }
)
OBJECTIVES = [Objective("t", "acc", higher_is_better=True), Objective("t", "err", higher_is_better=False)]


def test_counts_in_full_and_with_respect_to_each_other_optimizer() -> None:
    """b and d are equal, so neither dominates the other; e has a NaN and is counted apart; f and c are dominated."""
    members = pareto_counts.pareto_members(RUNS, OBJECTIVES)
    assert members["full"].tolist() == [True, True, False, True, False, False]
    counts = pareto_counts.count_by_optimizer(members).set_index("optimizer")
    assert counts["runs"].to_dict() == {"adam": 3, "sgd": 3}
    assert counts["not_comparable"].to_dict() == {"adam": 0, "sgd": 1}
    assert counts["pareto_full"].to_dict() == {"adam": 2, "sgd": 1}
    assert counts.loc["adam", "pareto_wrt_sgd"] == 2 and counts.loc["sgd", "pareto_wrt_adam"] == 1
    assert np.isnan(counts.loc["adam", "pareto_wrt_adam"])
    weightings = pareto_counts.count_by_weighting(members).set_index("weighting")
    assert weightings["pareto_full"].to_dict() == {"ew": 1, "uw": 2}


def test_no_run_at_all_gives_empty_counts() -> None:
    members = pareto_counts.pareto_members(RUNS[:0], OBJECTIVES)
    assert members.empty and pareto_counts.count_by_optimizer(members).empty


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_a_hundred_thousand_runs_of_nine_metrics_take_less_than_five_seconds(correlation: float) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(100_000, 9)) * (1 - correlation) + generator.normal(size=(100_000, 1)) * correlation
    objectives = [Objective("t", f"m{k}", higher_is_better=False) for k in range(9)]
    runs = pd.DataFrame(values, columns=[f"test_{objective.name}" for objective in objectives])
    runs["trial_key"] = np.arange(len(runs)).astype(str)
    runs["weighting"] = generator.choice(["ew", "uw", "cagrad"], len(runs))
    runs["optimizer"] = generator.choice(["adam", "sgd", "signsgd"], len(runs))
    started = time.process_time()
    members = pareto_counts.pareto_members(runs, objectives)
    counts, weightings = pareto_counts.count_by_optimizer(members), pareto_counts.count_by_weighting(members)
    assert time.process_time() - started < 5.0
    assert counts["pareto_full"].sum() == weightings["pareto_full"].sum() == members["full"].sum() > 0
