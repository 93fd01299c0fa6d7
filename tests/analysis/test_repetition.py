"""The procedure repeated in samples of the seeds: the same choices as the analysis, intervals that cover, honest gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtlsweep.analysis.baselines import select_baselines
from mtlsweep.analysis.repetition.arrays import Floats, SweepArrays, sweep_arrays
from mtlsweep.analysis.repetition.intervals import Repeated, repeat
from mtlsweep.analysis.repetition.procedure import Repetitions, repeat_procedure
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.analysis.trial_table import measure_trials, with_delta_m
from mtlsweep.testing.simulated_arrays import ArrayTruth, Noise, normal, simulate_arrays, skewed
from mtlsweep.testing.simulated_sweep import SimulatedSweep, Truth, simulate_sweep

pytestmark = pytest.mark.slow

FEW = {"ew": 0.0, "uw": 1.0, "rlw": 2.0}
NEAR = Truth(
    weighting_effect=FEW,
    optimizer_effect={"adam": 5.0, "sgd": 5.0},
    best_log10_lr={"adam": -3.0, "sgd": -2.5},
    noise=3.0,
    curvature=1.0,
)
"""Learning rates so near one another, and so noisy, that seeds decide which is selected, also for the baselines."""


@pytest.fixture(scope="module")
def sweep() -> SimulatedSweep:
    return simulate_sweep(seeds=5, epochs=2, truth=NEAR)


def analysed(sweep: SimulatedSweep) -> SuiteAnalysis:
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


def arrays_of(sweep: SimulatedSweep) -> SweepArrays:
    baselines = select_baselines(sweep.baseline_curves, sweep.baseline_outcomes, sweep.objectives)
    trials = measure_trials(sweep.sweep_curves, sweep.sweep_outcomes, baselines, sweep.objectives)
    return sweep_arrays(
        sweep.sweep_curves, with_delta_m(trials, baselines, sweep.objectives), baselines, sweep.objectives
    )


def of_seeds(sweep: SimulatedSweep, seeds: list[int]) -> SimulatedSweep:
    """Return the sweep as it were with these seeds alone."""
    outcomes = {
        stage: getattr(sweep, f"{stage}_outcomes")[getattr(sweep, f"{stage}_outcomes")["seed"].isin(seeds)]
        for stage in ("baseline", "sweep")
    }
    return SimulatedSweep(sweep.baseline_curves, outcomes["baseline"], sweep.sweep_curves, outcomes["sweep"])


def shares_of(seeds: list[int], among: int = 5) -> Floats:
    return np.bincount(seeds, minlength=among)[None] / len(seeds)


@pytest.mark.parametrize("seeds", [[0, 1, 2, 3, 4], [0], [3], [1, 4], [0, 2, 3]])
def test_a_sample_of_the_seeds_gives_what_the_analysis_of_these_seeds_gives(
    sweep: SimulatedSweep, seeds: list[int]
) -> None:
    arrays = arrays_of(sweep)
    found = repeat_procedure(arrays, shares_of(seeds), shares_of(seeds), stretch=False)
    expected = analysed(of_seeds(sweep, seeds)).results.set_index(["weighting", "optimizer"]).loc[list(arrays.methods)]
    assert found.test[0] == pytest.approx(expected["test_delta_m_mean"].to_numpy(), abs=1e-9)
    assert found.validation[0] == pytest.approx(expected["val_delta_m_mean"].to_numpy(), abs=1e-9)
    assert arrays.methods[found.best[0]] == expected["val_delta_m_mean"].idxmin()


def test_learning_rates_and_baselines_are_really_chosen_anew(sweep: SimulatedSweep) -> None:
    each = [analysed(of_seeds(sweep, [seed])) for seed in range(5)]
    assert len({tuple(one.baselines["lr"]) for one in each}) > 1
    assert len({tuple(one.results.sort_values(["weighting", "optimizer"])["lr"]) for one in each}) > 1


def test_intervals_stand_beside_the_conditional_ones_around_the_same_result(sweep: SimulatedSweep) -> None:
    results = analysed(sweep).results
    assert (results["test_delta_m_search_low"] < results["test_delta_m_search_high"]).all()
    middle = (results["test_delta_m_search_high"] + results["test_delta_m_search_low"]) / 2
    assert middle.to_numpy() == pytest.approx(results["test_delta_m_mean"].to_numpy())
    assert not np.allclose(results["test_delta_m_search_low"], results["test_delta_m_low"])


def test_noise_of_the_baselines_is_in_them(sweep: SimulatedSweep) -> None:
    arrays = arrays_of(sweep)
    quiet = [replace(task, loss=still(task.loss, 1), values=still(task.values, 2)) for task in arrays.single_task]
    noisy, silent = (as_repeated(one) for one in (arrays, replace(arrays, single_task=tuple(quiet))))
    widths = [[np.ptp(one.interval(method)) for method in arrays.methods] for one in (noisy, silent)]
    assert np.mean(widths[0]) > 1.1 * np.mean(widths[1])


def still(values: Floats, seeds: int) -> Floats:
    """Return values without the differences between seeds, which are along this axis."""
    return np.broadcast_to(values.mean(axis=seeds, keepdims=True), values.shape)


def test_differences_have_intervals_too_and_what_seeds_share_cancels() -> None:
    table = analysed(
        simulate_sweep(seeds=6, epochs=1, truth=Truth(weighting_effect=FEW, noise=2.0, shared_noise=0.99))
    ).comparisons
    paired = table[table["question"] == "optimizer"]
    assert (paired["search_low"] < paired["difference"]).all() and (paired["difference"] < paired["search_high"]).all()
    assert (paired["search_high"] - paired["search_low"]).median() < 1.0
    assert table.loc[table["question"] == "optimizer overall", ["search_low", "search_high"]].isna().all(axis=None)


def one_cell(values: Floats) -> SweepArrays:
    """Return a sweep of one cell, whose baselines have no noise; `values` are its metric over seeds."""
    seeds = len(values)
    arrays = simulate_arrays(
        ArrayTruth(np.zeros((1, 1)), single_task=(0.0,), epochs=1), seeds, normal, np.random.default_rng(0)
    )
    tasks = tuple(
        replace(task, loss=np.ones((1, seeds)), values=np.full((2, 1, seeds, 1), 0.5)) for task in arrays.single_task
    )
    shown = np.broadcast_to(values[None, None, :, None, None], arrays.values.shape)
    return replace(arrays, values=shown, single_task=tasks)


def test_without_a_choice_and_without_noisy_baselines_it_is_students_interval() -> None:
    values = 0.5 + 0.01 * np.random.default_rng(3).normal(size=8)
    repeated = repeat(one_cell(values))
    assert repeated is not None
    low, high = repeated.interval(repeated.methods[0])
    changes = -100 * (values - 0.5) / 0.5 / 3  # two metrics of three are better when higher
    expected = stats.t.interval(0.95, 7, changes.mean(), stats.sem(changes))
    assert (low, high) == pytest.approx(expected, abs=0.06 * (expected[1] - expected[0]))
    assert repeated.best_interval() == (low, high)


def test_one_setting_is_not_lucky_and_the_best_of_many_equal_ones_is() -> None:
    generator = np.random.default_rng(1)
    assert repeated_of(np.zeros((1, 1)), 5, normal, generator).optimism == pytest.approx(0.0, abs=0.02)
    few, many = (
        np.mean([repeated_of(np.zeros((size, 4)), 5, normal, generator).optimism for _ in range(15)]) for size in (1, 6)
    )
    assert 0 < few < many


def repeated_of(levels: Floats, seeds: int, noise: Noise, generator: np.random.Generator) -> Repeated:
    repeated = repeat(simulate_arrays(ArrayTruth(levels), seeds, noise, generator))
    assert repeated is not None
    return repeated


def test_two_seeds_say_that_they_are_too_few_and_one_is_not_repeated() -> None:
    two, one = (analysed(simulate_sweep(seeds=seeds, epochs=1, truth=NEAR)) for seeds in (2, 1))
    assert two.best["note"].item().startswith("too few seeds (2, needs ")
    assert two.best[["low", "high"]].isna().all(axis=None) and two.results["test_delta_m_search_low"].isna().all()
    assert one.best.empty and one.comparisons["search_low"].isna().all()


def test_nothing_finished_has_no_interval(sweep: SimulatedSweep) -> None:
    lost = replace(sweep, sweep_outcomes=sweep.sweep_outcomes.assign(outcome="diverged"))
    assert repeat(arrays_of(lost)) is None


def test_a_cell_that_lacks_a_seed_takes_no_part(sweep: SimulatedSweep) -> None:
    outcomes = sweep.sweep_outcomes
    first = outcomes["cell_key"].iloc[0]
    lost = outcomes["outcome"].mask((outcomes["cell_key"] == first) & (outcomes["seed"] == 2), "pruned")
    assert (
        len(arrays_of(replace(sweep, sweep_outcomes=outcomes.assign(outcome=lost))).method)
        == len(arrays_of(sweep).method) - 1
    )


def test_seeds_of_other_baselines_are_drawn_by_themselves(sweep: SimulatedSweep) -> None:
    others = sweep.baseline_outcomes.assign(seed=sweep.baseline_outcomes["seed"] + 10)
    arrays = arrays_of(replace(sweep, baseline_outcomes=others))
    assert arrays_of(sweep).same_seeds and not arrays.same_seeds
    assert len(as_repeated(arrays).probability) > 5 * len(as_repeated(arrays_of(sweep)).probability)


def as_repeated(arrays: SweepArrays) -> Repeated:
    repeated = repeat(arrays)
    assert repeated is not None
    return repeated


def test_many_samples_in_parts_are_the_same_as_at_once(sweep: SimulatedSweep, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, shares = arrays_of(sweep), np.random.default_rng(0).dirichlet(np.ones(5), size=20)
    at_once = repeat_procedure(arrays, shares, shares)
    monkeypatch.setattr("mtlsweep.analysis.repetition.procedure._MOST_NUMBERS", 1)
    in_parts = repeat_procedure(arrays, shares, shares)
    assert all(np.allclose(*pair) for pair in zip(fields_of(at_once), fields_of(in_parts), strict=True))


def fields_of(found: Repetitions) -> list[Floats]:
    return [found.test, found.validation, found.luck, found.best.astype(float)]


def test_a_test_metric_that_is_missing_takes_the_interval_of_its_method_alone(sweep: SimulatedSweep) -> None:
    analysis = analysed(sweep)
    worst = analysis.results.iloc[-1]
    keys = analysis.trials.loc[analysis.trials["cell_key"] == worst["cell_key"], "trial_key"]
    curves = sweep.sweep_curves
    gone = curves["trial_key"].isin(keys) & (curves["split"] == "test") & (curves["metric"] == "mae")
    results = analysed(replace(sweep, sweep_curves=curves.assign(value=curves["value"].mask(gone)))).results
    known = results["test_delta_m_search_low"].notna()
    assert known.sum() >= len(results) - 1 and known.iloc[0]


def coverage(levels: Floats, seeds: int, noise: Noise, sweeps: int) -> tuple[float, float]:
    """Return how often intervals of methods, and of the best, cover the procedure's mean result."""
    generator = np.random.default_rng([seeds, sweeps])
    found = [repeated_of(levels, seeds, noise, generator) for _ in range(sweeps)]
    results = np.array([[*one.result.test[0], one.result.test[0, one.result.best[0]]] for one in found])
    ends = np.array([[*(one.interval(method) for method in one.methods), one.best_interval()] for one in found])
    covered = (ends[..., 0] <= results.mean(axis=0)) & (results.mean(axis=0) <= ends[..., 1])
    return float(covered[:, :-1].mean()), float(covered[:, -1].mean())


@pytest.mark.parametrize("noise", [normal, skewed])
def test_intervals_of_five_seeds_cover_the_mean_result_of_the_procedure(noise: Noise) -> None:
    methods, best = coverage(np.array([[0.0, 0.5, 4.0], [0.3, 0.8, 4.0]]), 5, noise, 120)
    assert methods >= 0.9 and best >= 0.88, "the study of thousands is in benchmarks/intervals.py"


def test_equal_tables_give_equal_figures(sweep: SimulatedSweep) -> None:
    first, second = analysed(sweep), analysed(sweep)
    pd.testing.assert_frame_equal(first.best, second.best, check_exact=True)
    pd.testing.assert_frame_equal(first.comparisons, second.comparisons, check_exact=True)
