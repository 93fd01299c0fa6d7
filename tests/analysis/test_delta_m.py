"""Delta_m: the paper's definition, on the paper's own numbers and on its invariances."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlsweep.analysis.delta_m import delta_m, delta_m_columns, mean_change
from mtlsweep.analysis.objectives import Objective
from mtlsweep.analysis.paper.printed_results import HIGHER_IS_BETTER, PAPER_SUITES, paper_results
from mtlsweep.errors import UserError

ACCURACY = Objective("left", "accuracy", higher_is_better=True)
ERROR = Objective("mass", "mae", higher_is_better=False)
R2 = Objective("mass", "r2", higher_is_better=True, in_delta_m=False)
positive = st.floats(0.01, 100.0)


def one(accuracy: float, error: float, baseline: tuple[float, float]) -> pd.Series:
    values = pd.DataFrame({"left_accuracy": [accuracy], "mass_mae": [error]})
    return delta_m(values, dict(zip(values, baseline, strict=True)), [ACCURACY, ERROR]).iloc[0]


def test_a_worse_run_is_positive_in_percent_of_the_baseline() -> None:
    row = one(0.72, 0.5, baseline=(0.8, 0.4))
    assert row["delta_m_left"] == pytest.approx(10.0)
    assert row["delta_m_mass"] == pytest.approx(25.0)
    assert row["delta_m"] == pytest.approx(17.5)


def test_the_baseline_itself_has_zero() -> None:
    assert one(0.8, 0.4, baseline=(0.8, 0.4))["delta_m"] == 0.0


@pytest.mark.slow
@given(positive, positive, positive, positive, st.floats(0.1, 10.0))
def test_units_do_not_matter(accuracy: float, error: float, base: float, base_error: float, unit: float) -> None:
    plain, scaled = one(accuracy, error, (base, base_error)), one(accuracy, error * unit, (base, base_error * unit))
    assert scaled["delta_m"] == pytest.approx(plain["delta_m"], rel=1e-9, abs=1e-9)


def test_metrics_weigh_equally_and_the_mean_over_tasks_stands_beside_it() -> None:
    objectives = [ACCURACY, ERROR, Objective("mass", "rmse", higher_is_better=False)]
    values = pd.DataFrame({"left_accuracy": [0.8], "mass_mae": [1.1], "mass_rmse": [1.2]})
    row = delta_m(values, {"left_accuracy": 0.8, "mass_mae": 1.0, "mass_rmse": 1.0}, objectives).iloc[0]
    assert row["delta_m"] == pytest.approx(10.0)
    assert row["delta_m_task_mean"] == pytest.approx(7.5)


@pytest.mark.parametrize("metrics", [1, 2, 9, 40])
def test_the_mean_alone_has_the_bits_of_the_table(metrics: int) -> None:
    generator = np.random.default_rng(metrics)
    objectives = [Objective("t", f"m{place}", bool(place % 2), in_delta_m=place != 1) for place in range(metrics)]
    values = pd.DataFrame({one.name: generator.normal(size=30) for one in objectives})
    values.iloc[3, 0] = np.nan
    baseline = {one.name: generator.normal() for one in objectives}
    alone = mean_change({name: values[name].to_numpy() for name in values}, baseline, objectives)
    np.testing.assert_array_equal(alone, delta_m(values, baseline, objectives)["delta_m"].to_numpy())


def test_a_metric_that_does_not_count_changes_nothing() -> None:
    values = pd.DataFrame({"left_accuracy": [0.7], "mass_mae": [0.5], "mass_r2": [-9.0]})
    baseline = {"left_accuracy": 0.8, "mass_mae": 0.4, "mass_r2": 0.0}
    with_it, without = delta_m(values, baseline, [ACCURACY, ERROR, R2]), delta_m(values, baseline, [ACCURACY, ERROR])
    pd.testing.assert_frame_equal(with_it, without)
    assert list(with_it) == delta_m_columns([ACCURACY, ERROR, R2])


def test_a_missing_metric_leaves_no_mean() -> None:
    row = one(np.nan, 0.4, baseline=(0.8, 0.4))
    assert np.isnan(row["delta_m"]) and np.isnan(row["delta_m_task_mean"]) and np.isnan(row["delta_m_left"])
    assert row["delta_m_mass"] == 0.0


def test_a_negative_baseline_keeps_the_sign_right() -> None:
    assert one(-2.0, 0.4, baseline=(-1.0, 0.4))["delta_m_left"] == pytest.approx(100.0)


@pytest.mark.parametrize("base", [0.0, np.nan, np.inf])
def test_a_baseline_without_relative_change_is_refused(base: float) -> None:
    with pytest.raises(UserError, match=r"the baseline of `left accuracy` is .*in_delta_m=False"):
        one(0.5, 0.4, baseline=(base, 0.4))


@pytest.mark.parametrize("suite", PAPER_SUITES)
def test_the_printed_delta_m_of_the_paper_comes_out(suite: str) -> None:
    table = paper_results(suite)
    assert table is not None
    metrics = [column for column in table if column not in ("weighting", "optimizer", "lr", "delta_m", "delta_m_std")]
    objectives = [
        Objective(task, name, f"{task}_{name}" in HIGHER_IS_BETTER)
        for task, name in (metric.split("_", 1) for metric in metrics)
    ]
    baseline, rows = table[table["weighting"] == "stl"].iloc[0], table[table["weighting"] != "stl"]
    computed = delta_m(rows, {metric: float(baseline[metric]) for metric in metrics}, objectives)["delta_m"]
    assert len(rows) == 23
    assert (computed - rows["delta_m"]).abs().max() < 0.15  # printed metrics are rounded to 2 to 4 digits
