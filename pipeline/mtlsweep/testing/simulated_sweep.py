"""Simulated sweeps with known effects, to test the statistics and the report.

The tables have the form that a real sweep writes; nothing is trained here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mtlsweep.analysis.objectives import Objective
from mtlsweep.files import content_hash

OBJECTIVES = (
    Objective("left", "accuracy", higher_is_better=True),
    Objective("right", "accuracy", higher_is_better=True),
    Objective("mass", "mae", higher_is_better=False),
    Objective("mass", "r2", higher_is_better=True, in_delta_m=False),
)

WEIGHTINGS = ("ew", "uw", "rlw", "pcgrad", "cagrad", "imtl", "aligned_mtl")
_BASELINE = {"left": 0.84, "right": 0.87, "mass": 0.40}


@dataclass(frozen=True)
class Truth:
    """The true effects of a simulated sweep.

    Attributes:
        weighting_effect: by weighting, how many percent worse than the optimizer's own level.
        optimizer_effect: by optimizer, its Delta_m in percent at its best learning rate.
        best_log10_lr: by optimizer, that learning rate; Delta_m grows by `curvature` per decade squared.
        noise: standard deviation over seeds of every relative metric, in percent; the part
            `shared_noise` (0 to 1) of its variance is common to all trials of a seed.
        diverges_above: by optimizer, the learning rate above which trials diverge.
    """

    weighting_effect: Mapping[str, float] = field(
        default_factory=lambda: {w: 1.5 * i for i, w in enumerate(WEIGHTINGS)}
    )
    optimizer_effect: Mapping[str, float] = field(default_factory=lambda: {"adam": 6.0, "sgd": 14.0, "signsgd": 9.0})
    best_log10_lr: Mapping[str, float] = field(default_factory=lambda: {"adam": -3.0, "sgd": -2.0, "signsgd": -3.0})
    curvature: float = 8.0
    noise: float = 1.0
    shared_noise: float = 0.3
    diverges_above: Mapping[str, float] = field(default_factory=lambda: {"sgd": 0.05})


@dataclass(frozen=True)
class SimulatedSweep:
    """The four raw tables of one suite and the declaration of its metrics."""

    baseline_curves: pd.DataFrame
    baseline_outcomes: pd.DataFrame
    sweep_curves: pd.DataFrame
    sweep_outcomes: pd.DataFrame
    objectives: tuple[Objective, ...] = OBJECTIVES


def simulate_sweep(
    learning_rates: tuple[float, ...] = (1e-1, 1e-2, 1e-3),
    seeds: int = 2,
    epochs: int = 4,
    truth: Truth | None = None,
    suite: str = "simulated-suite",
    generator_seed: int = 0,
) -> SimulatedSweep:
    """Return baselines (Adam, every learning rate) and a full grid of weighting x optimizer x learning rate x seed."""
    truth = truth or Truth()
    generator = np.random.default_rng(generator_seed)
    common = generator.normal(size=seeds)
    baselines, sweep = _Recorder(suite, generator, epochs), _Recorder(suite, generator, epochs)
    for task in _BASELINE:
        for lr in learning_rates:
            for seed in range(seeds):
                worse = truth.curvature * (np.log10(lr) + 3) ** 2
                noise = truth.noise * generator.normal()
                baselines.add(_identity("stl", task, "stl", "adam", lr, seed), {task: worse + noise})
    for weighting, weighting_effect in truth.weighting_effect.items():
        for optimizer, optimizer_effect in truth.optimizer_effect.items():
            for lr in learning_rates:
                level = weighting_effect + optimizer_effect
                level += truth.curvature * (np.log10(lr) - truth.best_log10_lr[optimizer]) ** 2
                for seed in range(seeds):
                    own = generator.normal(size=len(_BASELINE))
                    noise = truth.noise * (
                        truth.shared_noise**0.5 * common[seed] + (1 - truth.shared_noise) ** 0.5 * own
                    )
                    identity = _identity("mtl", None, weighting, optimizer, lr, seed)
                    diverges = lr > truth.diverges_above.get(optimizer, np.inf)
                    sweep.add(identity, dict(zip(_BASELINE, level + noise, strict=True)), diverges)
    return SimulatedSweep(*baselines.tables(), *sweep.tables())


def _identity(role: str, task: str | None, weighting: str, optimizer: str, lr: float, seed: int) -> dict[str, Any]:
    return {"role": role, "task": task, "weighting": weighting, "optimizer": optimizer, "lr": lr, "seed": seed}


class _Recorder:
    def __init__(self, suite: str, generator: np.random.Generator, epochs: int) -> None:
        self._suite, self._generator, self._epochs = suite, generator, epochs
        self._curves: list[tuple[Any, ...]] = []
        self._outcomes: list[dict[str, Any]] = []

    def add(self, identity: dict[str, Any], percent_worse: dict[str, float], diverges: bool = False) -> None:
        """Record one trial that ends `percent_worse` than the baseline on each of its tasks."""
        key = content_hash(identity)
        cell = content_hash({name: value for name, value in identity.items() if name != "seed"})
        epochs = 1 if diverges else self._epochs
        outcome = {"outcome": "diverged" if diverges else "done", "cause": "explosion" if diverges else None}
        row = {"trial_key": key, "cell_key": cell, "suite": self._suite, **identity, **outcome, "epochs": epochs}
        self._outcomes.append(row | {"weighting_options": "{}", "optimizer_options": "{}"})
        for epoch in range(1, epochs + 1):
            unlearned = 40.0 * 0.3 ** (epoch - 1) * (epoch < self._epochs)
            for task, worse in percent_worse.items():
                self._add_epoch(key, epoch, task, worse + unlearned)

    def _add_epoch(self, key: str, epoch: int, task: str, worse: float) -> None:
        weight = 1.0 + 0.1 * self._generator.normal()
        self._curves.append((key, epoch, "train", task, "loss", 1.0 + worse / 120))
        self._curves.append((key, epoch, "train", task, "weight", weight))
        for split in ("val", "test"):
            value = _BASELINE[task] * (1 + (worse if task == "mass" else -worse) / 100)
            self._curves.append((key, epoch, split, task, "loss", 1.0 + worse / 100))
            if task == "mass":
                self._curves.append((key, epoch, split, task, "mae", value))
                self._curves.append((key, epoch, split, task, "r2", 0.9 - value))
            else:
                self._curves.append((key, epoch, split, task, "accuracy", value))

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return curves and outcomes, sorted as the sweep sorts them."""
        columns = ["trial_key", "epoch", "split", "task", "metric"]
        curves = pd.DataFrame(self._curves, columns=[*columns, "value"]).sort_values(columns, ignore_index=True)
        return curves, pd.DataFrame(self._outcomes).sort_values("trial_key", ignore_index=True)
