"""The reference: what scores one epoch while training says the same as the table that analysis makes."""

from __future__ import annotations

import math

import pytest

from mtlsweep.analysis.objectives import Objective
from mtlsweep.sweep.search.live_delta_m import Reference

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


def test_an_epoch_that_lacks_a_metric_has_no_score() -> None:
    assert math.isnan(REFERENCE.score({"val/left/accuracy": 0.6}))


def test_without_baselines_the_score_is_the_mean_validation_loss() -> None:
    epoch = {"val/left/loss": 1.0, "val/mass/loss": 3.0, "train/left/loss": 50.0}
    assert Reference(OBJECTIVES, {}).score(epoch) == 2.0
