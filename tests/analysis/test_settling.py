"""How many seeds settle a comparison: more for smaller differences, none where nothing can be promised, power as promised."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from mtlsweep.analysis.conclusions.comparisons import compare_methods
from mtlsweep.analysis.conclusions.settling import (
    MOST_SEEDS,
    SETTLES,
    seeds_needed,
    settling_steps,
    with_seeds_to_settle,
)
from mtlsweep.analysis.conclusions.statistics import FEWEST_SEEDS
from mtlsweep.analysis.moderated_variances import with_fixed_prior

OPEN = np.zeros(6, dtype=bool)
ONES, THREE = np.ones(6), np.full(6, 3.0)


def test_larger_differences_need_fewer_seeds_and_none_needs_more_than_can_be_promised() -> None:
    needed = seeds_needed(np.array([0.0, 1.0, 2.0, -4.0, 8.0, -16.0]), ONES, THREE, OPEN)
    assert np.isnan(needed[0]) and (np.diff(needed[2:]) <= 0).all()
    assert needed[-1] == FEWEST_SEEDS and np.nanmax(needed) <= MOST_SEEDS


def test_more_noise_needs_more_seeds() -> None:
    difference = np.array([2.0, -2.5, 3.0, -3.5, 4.0, 5.0])
    quiet, loud = (seeds_needed(difference, deviation * ONES, THREE, OPEN) for deviation in (1.0, 2.0))
    quiet, loud = (np.nan_to_num(needed, nan=MOST_SEEDS + 1) for needed in (quiet, loud))
    assert (quiet <= loud).all() and quiet.sum() < loud.sum()


@given(arrays(float, 6, elements=st.floats(-5, 5)), st.floats(0.01, 100))
@settings(max_examples=20)
def test_units_and_signs_do_not_matter(difference: NDArray[np.float64], unit: float) -> None:
    deviation = np.array([0.5, 1.0, 1.5, 2.0, 0.7, 1.2])
    expected = seeds_needed(difference, deviation, THREE, OPEN)
    assert seeds_needed(-unit * difference, unit * deviation, THREE, OPEN) == pytest.approx(
        expected, nan_ok=True, abs=1
    )


def test_it_asks_for_seeds_that_are_not_there_yet() -> None:
    needed = seeds_needed(np.array([0.2, 1.0, 2.0, 4.0, 8.0, 16.0]), ONES, np.full(6, 7.0), OPEN)
    assert (needed[np.isfinite(needed)] > 7).all()


def test_variances_of_few_seeds_are_drawn_towards_each_other() -> None:
    own = np.array([0.01, 1.0, 1.0, 1.2, 0.8, 1.1, 0.9, 10.0])
    drawn, degrees = with_fixed_prior(own, np.full(8, 2.0))
    assert own[0] < drawn[0] < own.mean() < drawn[-1] < own[-1] and (np.argsort(drawn) == np.argsort(own)).all()
    assert drawn.mean() == pytest.approx(own.mean()) and (degrees > 2.0).all()
    assert with_fixed_prior(10 * own, np.full(8, 2.0))[0] == pytest.approx(10 * drawn)
    closer = np.abs(with_fixed_prior(own, np.full(8, 20.0))[0] - own)
    assert (closer <= np.abs(drawn - own)).all(), "what many seeds show counts more"


@pytest.mark.slow
@pytest.mark.parametrize("pilot", [3, 6])
def test_the_number_of_seeds_gives_the_power_that_was_promised(pilot: int) -> None:
    """Over simulated comparisons whose true differences spread as widely as the noise and three times as widely."""
    generator = np.random.default_rng(pilot)
    decided = []
    for _ in range(60):
        true = generator.choice([1.0, 3.0]) * generator.normal(size=20)
        seen = true + generator.normal(size=(pilot, 20))
        mean, deviation = seen.mean(axis=0), seen.std(axis=0, ddof=1)
        needed = seeds_needed(mean, deviation, np.full(20, float(pilot)), np.zeros(20, dtype=bool))
        order = np.argsort(np.argsort(-np.abs(mean)))
        for position in np.flatnonzero(np.isfinite(needed)):
            count = int(needed[position])
            further = true[position] + generator.normal(size=count - pilot)
            values = np.concatenate([seen[:, position], further])
            p = stats.ttest_1samp(values, 0.0).pvalue
            decided.append(p < 0.05 / (20 - order[position]))
    assert 0.76 <= np.mean(decided) <= 0.95


def compared(differences: list[float], seeds: int, noise: float) -> pd.DataFrame:
    """Return the comparisons of weightings that are worse than ew by `differences` points."""
    generator = np.random.default_rng(0)
    rows = [
        {"weighting": name, "optimizer": "adam", "seed": seed, "cell_key": name,
         "test_delta_m": worse + noise * generator.normal()}
        for name, worse in zip(["ew", *map(str, range(len(differences)))], [0.0, *differences], strict=True)
        for seed in range(seeds)
    ]  # fmt: skip
    return with_seeds_to_settle(compare_methods(pd.DataFrame(rows)))


def test_decided_comparisons_ask_for_nothing_and_open_ones_are_counted() -> None:
    table = compared([10.0, 12.0, 0.8, 1.0, 0.0], seeds=5, noise=1.0)
    decided = table["p_holm"] < 0.05
    assert decided.sum() == 2 and table.loc[decided, SETTLES].isna().all()
    settling = settling_steps(table)
    assert (settling.decided, settling.open, settling.seeds) == (2, 3, 5)
    assert all(number > 5 for number in settling.steps)


def test_two_seeds_test_nothing_but_say_what_five_would() -> None:
    settling = settling_steps(compared([10.0, 12.0, 11.0, 9.0], seeds=2, noise=0.3))
    assert (settling.decided, settling.open) == (0, 4) and max(settling.steps.values()) == 4
    assert min(settling.steps) == FEWEST_SEEDS


@pytest.mark.parametrize(("seeds", "noise"), [(1, 1.0), (4, 0.0)])
def test_without_noise_to_see_nothing_is_promised(seeds: int, noise: float) -> None:
    settling = settling_steps(compared([10.0, 12.0], seeds, noise))
    assert settling.steps == {} and settling.open == 2
