"""A user's own metrics may be NaN, infinite or missing: they are recorded unchanged or reported as missing, and the sweep continues."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.state import Outcome
from tests.forks import run_module

pytestmark = [pytest.mark.slow]


ODD = '''
"""Noise with two numbers to learn; a metric that is a number, NaN, infinite or (on request) not there."""
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mtlsweep.suites.datasets.dataset import Dataset
from mtlsweep.suites.tasks import Metric
from mtlsweep.suites.tasks.regression import Regression, RegressionEvaluator

ODD = [math.nan, math.inf, -math.inf, 1.0]

class OddEvaluator(RegressionEvaluator):
    def compute(self):
        values = super().compute()
        return {**values, "odd": ODD[int(values["mae"] * 1e6) % len(ODD)]}

class ForgetfulEvaluator(RegressionEvaluator):
    def compute(self):
        return {"mae": super().compute()["mae"]}

@dataclass(frozen=True)
class Odd(Regression):
    metrics: ClassVar[tuple[Metric, ...]] = (*Regression.metrics, Metric("odd", True, in_delta_m=False))

    def evaluator(self):
        return OddEvaluator()

@dataclass(frozen=True)
class Forgetful(Regression):
    def evaluator(self):
        return ForgetfulEvaluator()

class Noise(Dataset):
    def __init__(self, *, forgetful: bool = False) -> None:
        kind = Forgetful if forgetful else Odd
        self.tasks = (kind("a"), Regression("b"))

    def sizes(self):
        return {"train": 64, "val": 32, "test": 32}

    def rows(self, split, start, stop):
        generator = np.random.default_rng([len(split), start])
        images = generator.integers(0, 255, (stop - start, 1, 28, 28), np.uint8)
        labels = images.mean(axis=(1, 2, 3)).astype(np.float32)
        return {"image": images, "a": labels / 100, "b": labels / 200}
'''


def run(directory: Path, forgetful: bool, *stages: str) -> list[subprocess.CompletedProcess[str]]:
    raw: dict[str, Any] = {
        "active": ["noise"],
        "suites": {
            "noise": {
                "data": {"dataset": {"odd:Noise": {"forgetful": forgetful}}},
                "network": {"lenet": {"downsampling": "stride"}},
                "training": {"epochs": 4, "batch_size": 16},
                "baselines": {"learning_rates": [0.001], "seeds": [0]},
                "sweep": {
                    "weightings": ["ew", "uw"],
                    "optimizers": ["adam"],
                    "learning_rates": [0.001],
                    "seeds": [0, 1],
                },
            }
        },
        "resources": {"executor": "inline"},
    }
    (directory / "odd.py").write_text(ODD)
    (directory / "params.yaml").write_text(yaml.safe_dump(raw))
    return [run_module(directory, f"stages.{stage}", "noise") for stage in stages]


def test_nan_and_infinite_metrics_are_recorded_unchanged(tmp_path: Path) -> None:
    for done in run(tmp_path, False, "prepare", "baselines", "sweep", "analyse"):
        assert done.returncode == 0, done.stderr
    curves = pd.read_parquet(tmp_path / "results" / "noise" / "sweep" / "curves.parquet")
    odd = curves[(curves["metric"] == "odd") & (curves["task"] == "a")]
    assert len(odd) == 2 * 2 * 4 * 2  # methods x seeds x epochs x splits: not one is left out
    known = {
        (one.trial.key, record.epoch, name): value
        for one in Ledger(tmp_path / "results", "noise").read_all()
        for record in one.state.curve
        for name, value in record.metrics.items()
    }
    for row in odd.to_dict("records"):
        value = known[row["trial_key"], row["epoch"], f"{row['split']}/a/odd"]
        assert row["value"] == value or (math.isnan(row["value"]) and math.isnan(value))
    assert not odd["value"].map(math.isfinite).all()
    trials = pd.read_parquet(tmp_path / "results" / "noise" / "trials.parquet")
    assert trials.loc[trials["role"] == "mtl", "val_delta_m"].map(math.isfinite).all()


def test_a_missing_metric_fails_its_trials_by_name(tmp_path: Path) -> None:
    prepared, swept = run(tmp_path, True, "prepare", "baselines")
    assert prepared.returncode == 0, prepared.stderr
    assert swept.returncode == 2
    assert "1 of 2 trials failed (1 code)" in swept.stderr
    assert "Traceback" not in swept.stderr
    failed = [one for one in Ledger(tmp_path / "results", "noise").read_all() if one.state.outcome is Outcome.FAILED]
    (detail,) = [one.state.detail for one in failed]
    assert "the evaluator of task `a` gives no `r2`, which the task declares" in json.dumps(detail)
