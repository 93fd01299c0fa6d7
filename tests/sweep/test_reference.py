"""The reference: what scores one epoch while training says the same as the table that analysis makes, and seed noise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.objectives import Objective
from mtlsweep.sweep.reference import Reference, seed_noise

OBJECTIVES = (
    Objective("left", "accuracy", higher_is_better=True),
    Objective("mass", "mae", higher_is_better=False),
    Objective("mass", "r2", higher_is_better=True, in_delta_m=False),
)
BASELINE = {"left_accuracy": 0.8, "mass_mae": 0.5, "mass_r2": 0.1}
REFERENCE = Reference(OBJECTIVES, {"val": BASELINE, "test": BASELINE})


def test_the_score_of_an_epoch_is_its_validation_delta_m() -> None:
    epoch = {"val/left/accuracy": 0.6, "val/mass/mae": 0.75, "test/left/accuracy": 0.1, "test/mass/mae": 9.0}
    assert REFERENCE.score(epoch) == pytest.approx((25.0 + 50.0) / 2)
    assert REFERENCE.score(epoch) == pytest.approx(REFERENCE.compare([epoch], "val")["delta_m"].item())


def test_what_is_shown_of_a_running_trial_is_delta_m_of_both_splits_at_each_epoch() -> None:
    epochs = [
        {"val/left/accuracy": 0.6, "val/mass/mae": 0.75, "test/left/accuracy": 0.8, "test/mass/mae": 0.5},
        {"val/left/accuracy": 0.8, "val/mass/mae": 0.5},
    ]
    first, second = REFERENCE.derive(epochs)
    assert first == {"val/delta_m": pytest.approx(37.5), "test/delta_m": 0.0}
    assert second["val/delta_m"] == 0.0
    assert math.isnan(second["test/delta_m"])
    assert Reference(OBJECTIVES, {}).derive(epochs) == [{}, {}]


def test_an_epoch_that_lacks_a_metric_has_no_score() -> None:
    assert math.isnan(REFERENCE.score({"val/left/accuracy": 0.6}))


def test_without_baselines_the_score_is_the_mean_validation_loss() -> None:
    epoch = {"val/left/loss": 1.0, "val/mass/loss": 3.0, "train/left/loss": 50.0}
    assert Reference(OBJECTIVES, {}).score(epoch) == 2.0


def epoch_of(accuracy: float, loss: float) -> dict[str, float]:
    return {f"{split}/left/accuracy": accuracy for split in ("val", "test")} | {
        "val/mass/mae": 0.5,
        "test/mass/mae": 0.6,
        "val/left/loss": loss,
    }


def test_the_epoch_that_counts_is_the_first_of_lowest_validation_delta_m_with_its_figures() -> None:
    epochs = [epoch_of(0.6, 0.1), epoch_of(0.8, 0.3), epoch_of(0.8, 0.2), epoch_of(0.4, 0.1)]
    assert REFERENCE.at_best(epochs) == (
        1,
        {
            "val_left_accuracy": 0.8,
            "val_mass_mae": 0.5,
            "test_left_accuracy": 0.8,
            "test_mass_mae": 0.6,
            "val_delta_m": pytest.approx(0.0),
            "test_delta_m": pytest.approx(10.0),
        },
    )


def test_without_baselines_the_epoch_of_lowest_validation_loss_counts() -> None:
    position, figures = Reference(OBJECTIVES, {}).at_best([epoch_of(0.8, 0.3), epoch_of(0.6, 0.1)]) or (None, {})
    assert (position, figures["val_left_accuracy"]) == (1, 0.6)
    assert "val_delta_m" not in figures


def test_no_epoch_counts_where_the_criterion_is_never_finite() -> None:
    assert REFERENCE.at_best([{"val/left/accuracy": 0.6}, {}]) is None
    assert Reference(OBJECTIVES, {}).at_best([{"train/left/loss": 1.0}]) is None


def baselines(metrics: dict[str, dict[str, list[list[float]]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return curves and replicates of baselines: by task and metric, a curve for each seed."""
    rows = [
        (f"{task}-{seed}", epoch, "val", task, metric, value)
        for task, by_metric in metrics.items()
        for metric, curves in by_metric.items()
        for seed, curve in enumerate(curves)
        for epoch, value in enumerate(curve, start=1)
    ]
    curves = pd.DataFrame(rows, columns=["trial_key", "epoch", "split", "task", "metric", "value"])
    replicates = curves[["trial_key", "task"]].drop_duplicates()
    return curves, replicates.assign(seed=replicates["trial_key"].str[-1].astype(int))


TWINS = (Objective("mass", "mae", higher_is_better=False), Objective("mass", "rmse", higher_is_better=False))


def noise_of(metrics: dict[str, dict[str, list[list[float]]]], objectives: tuple[Objective, ...]) -> float:
    return seed_noise(*baselines(metrics), Reference(objectives, {"val": {o.name: 1.0 for o in objectives}}))


def test_metrics_that_rise_and_fall_together_are_as_noisy_as_one_of_them() -> None:
    alone = noise_of({"mass": {"mae": [[1.1], [0.9]]}}, TWINS[:1])
    assert alone == pytest.approx(100 * np.std([1.1, 0.9], ddof=1))
    assert noise_of({"mass": {"mae": [[1.1], [0.9]], "rmse": [[1.1], [0.9]]}}, TWINS) == pytest.approx(alone)
    assert noise_of({"mass": {"mae": [[1.1], [0.9]], "rmse": [[0.9], [1.1]]}}, TWINS) == pytest.approx(0.0)


def test_tasks_are_compared_together_seed_by_seed() -> None:
    together = {"left": {"accuracy": [[1.1], [0.9]]}, "mass": {"mae": [[1.1], [0.9]]}}
    assert noise_of(together, OBJECTIVES[:2]) == pytest.approx(0.0), "what one gains the other loses"


def test_seed_noise_is_pooled_over_epochs_and_counts_the_lowest_so_far() -> None:
    """Differences of 0.4, 0.2, and 0.2 again: the last epoch of both is worse than the one before."""
    curves = {"mass": {"mae": [[1.4, 1.2, 5.0], [1.0, 1.0, 9.0]]}}
    assert noise_of(curves, TWINS[:1]) == pytest.approx(100 * np.sqrt(np.mean([0.08, 0.02, 0.02])))


def test_one_seed_says_nothing_about_noise() -> None:
    assert noise_of({"mass": {"mae": [[1.1, 0.9]]}}, TWINS[:1]) == 0.0
