"""Simulated sweeps as arrays, thousands of them in a minute: to see how often an interval covers the known truth.

As `simulated_sweep`, but with noise of any shape, and in the form that the repeated procedure takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mtlsweep.analysis.repetition.arrays import Floats, SingleTask, SweepArrays

Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]
"""Draws of mean 0 and deviation 1."""

_BASELINES = np.array([0.84, 0.87, 0.40])
_SIGNS = np.array([-1.0, -1.0, 1.0])


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return normal noise."""
    return generator.normal(size=shape)


def skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return exponential noise, of skewness 2: most seeds agree, and a few are much worse."""
    return generator.exponential(size=shape) - 1.0


@dataclass(frozen=True)
class ArrayTruth:
    """What is true of simulated sweeps of three tasks with one metric each; all in percent.

    Attributes:
        levels: Delta_m of each cell [methods, learning rates].
        single_task: how much worse than the best each learning rate of the baselines is.
        deviation: of every metric over seeds.
        shared: part of the variance that all cells of a seed have in common.
        split: part that validation and test do not have in common.
        epochs: of which the last two are trained equally well; each measurement has noise of a third of the deviation.
    """

    levels: Floats
    single_task: tuple[float, ...] = (0.0, 0.5, 3.0)
    deviation: float = 1.0
    shared: float = 0.3
    split: float = 0.3
    epochs: int = 4


def simulate_arrays(truth: ArrayTruth, seeds: int, noise: Noise, generator: np.random.Generator) -> SweepArrays:
    """Return one simulated sweep with its baselines, which have the same seeds."""
    methods, rates = truth.levels.shape
    cells, tasks = methods * rates, len(_SIGNS)
    own = noise(generator, (cells, seeds, 1, tasks))
    common = noise(generator, (1, seeds, 1, 1))
    both = np.sqrt(truth.shared) * common + np.sqrt(1 - truth.shared) * own
    of_split = noise(generator, (2, cells, seeds, 1, tasks))
    of_epoch = generator.normal(size=(2, cells, seeds, truth.epochs, tasks)) / 3
    unlearned = 40.0 * 0.3 ** np.arange(truth.epochs) * (np.arange(truth.epochs) < truth.epochs - 2)
    luck = np.sqrt(1 - truth.split) * both + np.sqrt(truth.split) * of_split + of_epoch
    percent = truth.levels.reshape(cells, 1, 1, 1) + unlearned[:, None] + truth.deviation * luck
    return SweepArrays(
        values=_BASELINES * (1 + _SIGNS * percent / 100),
        method=np.repeat(np.arange(methods), rates),
        methods=tuple((f"method {number}", "adam") for number in range(methods)),
        signs=_SIGNS,
        single_task=tuple(_single_task(task, truth, seeds, noise, generator) for task in range(tasks)),
        same_seeds=True,
    )


def _single_task(task: int, truth: ArrayTruth, seeds: int, noise: Noise, generator: np.random.Generator) -> SingleTask:
    worse = np.array(truth.single_task)[:, None]
    both, of_split = noise(generator, (len(worse), seeds)), noise(generator, (2, len(worse), seeds))
    percent = worse + truth.deviation * (np.sqrt(1 - truth.split) * both + np.sqrt(truth.split) * of_split)
    values = _BASELINES[task] * (1 + _SIGNS[task] * percent / 100)
    return SingleTask(1 + percent[0] / 100, values[..., None], np.array([task]))
