"""Baselines, epochs and learning rates chosen again for each sample of seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlsweep.analysis.repetition.arrays import Floats, SingleTask, SweepArrays

_MOST_NUMBERS = 4_000_000  # of one intermediate array, 32 MB


@dataclass(frozen=True)
class Repetitions:
    """What the procedure finds in each sample of seeds; Delta_m in percent.

    Attributes:
        chosen: the cell that each method selects on validation [samples, methods]. validation, test: its Delta_m.
        best: the method with the lowest validation Delta_m [samples].
        luck: by how much its validation Delta_m is lower in the sample than over all seeds [samples].
    """

    chosen: NDArray[np.intp]
    validation: Floats
    test: Floats
    best: NDArray[np.intp]
    luck: Floats


def repeat_procedure(sweep: SweepArrays, shares: Floats, baseline_shares: Floats, stretch: bool = True) -> Repetitions:
    """Choose baselines, epochs, learning rates and the best method anew in each sample of seeds.

    A sample is the share of each seed. With `stretch` deviations from the mean over all seeds are multiplied by
    sqrt(n / (n - 1)): means of samples of n values out of n vary by that factor less than means of n new values.

    Args:
        sweep: all cells that can be selected.
        shares: of the sweep's seeds [samples, seeds], each row sums to 1.
        baseline_shares: of the baselines' seeds [samples, baseline seeds].
        stretch: see above; without it, equal shares give the procedure's own result.
    """
    factor = np.sqrt(sweep.seeds / (sweep.seeds - 1)) if stretch else 1.0
    with np.errstate(invalid="ignore"):  # a test metric may be missing or infinite
        parts = [
            _repeat(sweep, shares[part], baseline_shares[part], factor, stretch) for part in _parts(sweep, len(shares))
        ]
    return Repetitions(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _parts(sweep: SweepArrays, samples: int) -> Iterator[slice]:
    size = max(1, _MOST_NUMBERS // max(1, int(np.prod(sweep.values.shape[1:4]))))
    return (slice(start, start + size) for start in range(0, samples, size))


def _repeat(
    sweep: SweepArrays, shares: Floats, baseline_shares: Floats, factor: float, stretch: bool
) -> tuple[NDArray[np.intp], Floats, Floats, NDArray[np.intp], Floats]:
    baselines = _baselines(sweep, baseline_shares, stretch)
    trials = _at_best_epochs(sweep, baselines)  # [2, samples, cells, seeds]
    means = trials.mean(axis=3)
    deviations = factor * np.einsum("psct,st->psc", trials - means[..., None], shares)
    validation, test = means + deviations
    samples = np.arange(len(shares))
    chosen = np.empty((len(shares), len(sweep.methods)), dtype=np.intp)
    for method in range(len(sweep.methods)):
        own = np.flatnonzero(sweep.method == method)
        chosen[:, method] = own[np.argmin(validation[:, own], axis=1)]
    of_methods = np.take_along_axis(validation, chosen, axis=1)
    best = np.argmin(of_methods, axis=1)
    luck = -deviations[0, samples, chosen[samples, best]]
    return chosen, of_methods, np.take_along_axis(test, chosen, axis=1), best, luck


def _baselines(sweep: SweepArrays, shares: Floats, stretch: bool) -> Floats:
    """Return the baseline of each metric on validation and test [2, samples, metrics]."""
    found = np.empty((2, len(shares), len(sweep.signs)))
    for task in sweep.single_task:
        found[:, :, task.positions] = _baseline_of(task, shares, stretch)
    return found


def _baseline_of(task: SingleTask, shares: Floats, stretch: bool) -> Floats:
    seeds = task.loss.shape[1]
    factor = np.sqrt(seeds / (seeds - 1)) if stretch else 1.0
    loss = task.loss.mean(axis=1)
    chosen = np.argmin(loss + factor * shares @ (task.loss - loss[:, None]).T, axis=1)  # [samples]
    values = task.values[:, chosen]  # [2, samples, seeds, metrics]
    means = values.mean(axis=2)
    return means + factor * np.einsum("psbm,sb->psm", values - means[:, :, None], shares)


def _at_best_epochs(sweep: SweepArrays, baselines: Floats) -> Floats:
    """Return Delta_m of each trial at its epoch of lowest validation Delta_m [2, samples, cells, seeds]."""
    weights = 100.0 * sweep.signs / np.abs(baselines) / len(sweep.signs)  # [2, samples, metrics]
    offsets = (weights * baselines).sum(axis=2)
    _, cells, seeds, epochs, metrics = sweep.values.shape
    validation = weights[0] @ sweep.values[0].reshape(-1, metrics).T  # [samples, cells * seeds * epochs]
    validation = np.where(np.isfinite(validation), validation, np.inf).reshape(-1, cells * seeds, epochs)
    epoch = np.argmin(validation, axis=2)
    lowest = np.take_along_axis(validation, epoch[:, :, None], axis=2)[:, :, 0]
    reached = sweep.values[1].reshape(cells * seeds, epochs, metrics)[np.arange(cells * seeds), epoch]
    test = np.einsum("stm,sm->st", reached, weights[1])
    shape = (len(epoch), cells, seeds)
    return np.stack([lowest.reshape(shape), test.reshape(shape)]) - offsets[:, :, None, None]
