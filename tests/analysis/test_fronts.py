"""Hypervolume, attainment and dominance beyond noise, against brute force."""

from __future__ import annotations

from itertools import combinations

import moocore
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mtlsweep.analysis.fronts import attainment, seed_noise
from mtlsweep.analysis.fronts import hypervolume as fronts
from mtlsweep.analysis.fronts.pareto_set import nondominated
from mtlsweep.analysis.objectives import Objective

COARSE = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, np.inf, np.nan])
X, Y = Objective("t", "x", higher_is_better=False), Objective("u", "y", higher_is_better=False)


def union_of_boxes(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Hypervolume by inclusion and exclusion over every subset of points."""
    inside = [p for p in points if not np.isnan(p).any() and (p < reference).all()]
    total = 0.0
    for size in range(1, len(inside) + 1):
        for subset in combinations(inside, size):
            total += (-1) ** (size + 1) * float(np.prod(reference - np.max(subset, axis=0)))
    return total


@given(st.integers(1, 10).flatmap(lambda k: arrays(float, st.tuples(st.integers(0, 7), st.just(k)), elements=COARSE)))
def test_hypervolume_is_the_volume_of_the_union_of_boxes(points: NDArray[np.float64]) -> None:
    reference = np.ones(points.shape[1])
    volume, exact = fronts.hypervolume(points, reference)
    assert exact and volume == pytest.approx(union_of_boxes(points, reference), abs=1e-12)


def test_a_member_at_minus_infinity_has_infinite_volume() -> None:
    assert fronts.hypervolume(np.array([[-np.inf, 0.5]]), np.ones(2)) == (np.inf, True)
    assert fronts.hypervolume(np.array([[-np.inf, 1.5]]), np.ones(2)) == (0.0, True)


@pytest.mark.slow
def test_large_fronts_are_approximated_the_same_each_time_and_closely() -> None:
    generator = np.random.default_rng(0)
    sphere = np.abs(generator.normal(size=(120, 8)))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    reference = np.full(8, 1.1)
    volume, exact = fronts.hypervolume(sphere, reference)
    half = sphere[:20]
    approximate = moocore.hv_approx(half, ref=reference, nsamples=fronts._SAMPLES, method="DZ2019-HW")
    assert not exact and fronts.hypervolume(sphere, reference) == (volume, False)
    assert approximate == pytest.approx(fronts.hypervolume(half, reference)[0], rel=5e-3)
    assert volume > approximate


def runs_of(points: list[tuple[float, float]], optimizers: str, seeds: list[int]) -> pd.DataFrame:
    frame = pd.DataFrame(points, columns=["test_t_x", "test_u_y"], dtype=float)
    names = {"a": "adam", "s": "sgd"}
    return frame.assign(optimizer=[names[letter] for letter in optimizers], weighting="ew", seed=seeds)


RUNS = runs_of([(0, 1), (1, 0), (0.5, 0.5), (1, 2), (2, 1)], "aaass", [0, 0, 1, 0, 1])


def test_shares_are_of_the_recorded_box() -> None:
    """Ideal (0, 0), worst (2, 2) with a tenth more: a box of 2.2 x 2.2."""
    shares, reference = fronts.hypervolume_shares(RUNS, [X, Y])
    assert reference["ideal"].tolist() == [0.0, 0.0] and reference["reference"].tolist() == pytest.approx([2.2, 2.2])
    volume = shares.set_index("name")["hypervolume"]
    assert volume["sgd"] == pytest.approx(union_of_boxes(np.array([[1, 2], [2, 1]]), np.array([2.2, 2.2])) / 2.2**2)
    assert volume["all"] == volume["adam"] > volume["sgd"] and shares["exact"].all()


def test_growth_never_shrinks_and_ends_at_the_share() -> None:
    growth = fronts.hypervolume_growth(RUNS, [X, Y])
    shares = fronts.hypervolume_shares(RUNS, [X, Y])[0].set_index("name")["hypervolume"]
    for optimizer, steps in growth.groupby("optimizer"):
        assert steps["hypervolume"].is_monotonic_increasing
        assert steps["hypervolume"].iloc[-1] == pytest.approx(shares[optimizer])


def attained(goal: NDArray[np.float64], points: NDArray[np.float64], seeds: NDArray[np.int64]) -> int:
    """Count the seeds one of whose runs is at least as good as the goal in both objectives."""
    return sum(bool((points[seeds == seed] <= goal).all(axis=1).any()) for seed in np.unique(seeds))


GRID = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0])
UGLY = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, np.inf, -np.inf, np.nan])


@pytest.mark.slow
@given(arrays(float, st.tuples(st.integers(1, 12), st.just(2)), elements=UGLY), st.data())
def test_surfaces_bound_what_one_half_and_all_seeds_attain(points: NDArray[np.float64], data: st.DataObject) -> None:
    """With ties, duplicates and infinities; a seed without a run that can be compared is no attempt."""
    seeds = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(points), max_size=len(points))))
    count = len(np.unique(seeds[~np.isnan(points).any(axis=1)]))
    assume(count > 0)
    needed = {"any seed": 1, "half of the seeds": int(np.ceil(count / 2)), "every seed": count}
    surfaces = attainment.attainment(points, seeds)
    for level, least in needed.items():
        for goal in ((x, y) for x in np.arange(-0.5, 5.0, 0.5) for y in np.arange(-0.5, 5.0, 0.5)):
            below = bool((surfaces[level] <= goal).all(axis=1).any())
            assert below == (attained(np.array(goal), points, seeds) >= least)


@pytest.mark.slow
@given(arrays(float, (9, 10), elements=UGLY), st.lists(st.booleans(), min_size=10, max_size=10))
def test_ten_objectives_have_a_surface_per_pair_of_the_first_four_tasks(
    points: NDArray[np.float64], directions: list[bool]
) -> None:
    objectives = [Objective(f"t{k}", "m", higher_is_better=better) for k, better in enumerate(directions)]
    runs = pd.DataFrame(points, columns=[f"test_{objective.name}" for objective in objectives])
    runs = runs.assign(optimizer="adam", weighting="ew", seed=[0, 1, 2] * 3)
    table = attainment.attainment_surfaces(runs, objectives)
    for x, y in combinations(objectives[:4], 2):
        signs = np.array([-1.0 if objective.higher_is_better else 1.0 for objective in (x, y)])
        pair = runs[[f"test_{x.name}", f"test_{y.name}"]].to_numpy() * signs
        seeds = runs["seed"].to_numpy()[~np.isnan(pair).any(axis=1)]
        own = table[(table["x"] == x.name) & (table["y"] == y.name) & (table["level"] == "any seed")]
        surface = own[["x_value", "y_value"]].to_numpy() * signs
        for goal in np.random.default_rng(0).choice([-0.5, 0.5, 2.0, 3.5, 4.5], size=(6, 2)):
            expected = attained(goal, pair[~np.isnan(pair).any(axis=1)], seeds) >= 1
            assert bool((surface <= goal).all(axis=1).any()) == expected


def test_attainment_leaves_out_runs_with_a_nan_and_takes_infinities() -> None:
    surfaces = attainment.attainment(np.array([[0.0, np.nan], [1.0, 1.0], [np.inf, 0.0]]), np.array([0, 0, 1]))
    assert surfaces["any seed"].tolist() == [[1.0, 1.0], [np.inf, 0.0]]
    assert surfaces["every seed"].tolist() == [[np.inf, 1.0]]
    assert attainment.attainment(np.empty((0, 2)), np.empty(0, dtype=int))["any seed"].shape == (0, 2)


@pytest.mark.slow
@settings(max_examples=40)
@given(arrays(float, st.tuples(st.integers(4, 16), st.just(2)), elements=GRID), st.data())
def test_differences_say_where_one_optimizer_attains_more(points: NDArray[np.float64], data: st.DataObject) -> None:
    letters = data.draw(st.lists(st.sampled_from("as"), min_size=len(points), max_size=len(points)))
    seeds = data.draw(st.lists(st.integers(0, 1), min_size=len(points), max_size=len(points)))
    runs = runs_of([tuple(point) for point in points], "".join(letters), seeds)
    table = attainment.attainment_differences(runs, [X, Y])
    adam, sgd = runs[runs["optimizer"] == "adam"], runs[runs["optimizer"] == "sgd"]
    shared = sorted(set(adam["seed"]) & set(sgd["seed"]))
    for goal in np.random.default_rng(0).uniform(0, points.max(axis=0) + 0.1, size=(25, 2)):
        shares = [
            attained(goal, side[["test_t_x", "test_u_y"]].to_numpy(), side["seed"].to_numpy()) / max(len(shared), 1)
            for side in (adam[adam["seed"].isin(shared)], sgd[sgd["seed"].isin(shared)])
        ]
        covering = table[
            (table["x_from"] <= goal[0])
            & (goal[0] < table["x_to"])
            & (table["y_from"] <= goal[1])
            & (goal[1] < table["y_to"])
        ]
        assert covering["difference"].sum() == pytest.approx(shares[0] - shares[1])


def test_higher_is_better_comes_back_in_the_metrics_own_units() -> None:
    better = [Objective("t", "x", higher_is_better=True), Objective("u", "y", higher_is_better=True)]
    surfaces = attainment.attainment_surfaces(RUNS, better)
    adam = surfaces[(surfaces["optimizer"] == "adam") & (surfaces["level"] == "any seed")]
    assert set(zip(adam["x_value"], adam["y_value"], strict=True)) == {(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)}


@pytest.mark.slow
@given(arrays(float, st.tuples(st.integers(1, 12), st.just(3)), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])))
def test_runs_within_noise_of_the_front_are_forgiven(points: NDArray[np.float64]) -> None:
    objectives = [Objective("t", f"m{k}", higher_is_better=False) for k in range(3)]
    runs = pd.DataFrame(points, columns=[f"test_{objective.name}" for objective in objectives])
    runs = runs.assign(optimizer="adam", weighting="ew")
    noise = np.array([0.5, 1.0, 0.0])
    counts = seed_noise.count_beyond_noise(runs, noise, objectives).set_index("tolerance")["pareto_full"]
    for tolerance in seed_noise.TOLERANCES:
        eased = points - tolerance * noise
        beaten = [any((q <= p).all() and (q < p).any() for q in points) for p in eased]
        assert counts[tolerance] == len(points) - sum(beaten)
    assert counts[0.0] == nondominated(points).sum()


def test_without_replicates_there_is_no_noise_to_forgive() -> None:
    selected = RUNS.assign(cell_key=list("abcde"))
    noise = seed_noise.seed_noise(selected, [X, Y])
    assert np.isnan(noise).all()
    assert set(seed_noise.count_beyond_noise(RUNS, noise, [X, Y])["tolerance"]) == {0.0}
