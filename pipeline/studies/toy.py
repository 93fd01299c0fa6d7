"""The experiment `toy`: after how many iterations each setting reaches the toy problem's global minimum.

EW, PCGrad and CAGrad with gradient descent and Adam run in the form of the CAGrad paper's toy code, all
learning rates and starts at once. Every other weighting or optimizer, and these with options, is
trained by the project's own trainer at its native scale: one start at a time, and slowly.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from pipeline.analysis.tables import write_table
from pipeline.files import write_atomically
from pipeline.optimizers import OPTIMIZERS
from pipeline.params import Toy
from pipeline.registry import Choice
from pipeline.studies.toy_problem import ARRIVED, STARTS, evaluate
from pipeline.studies.toy_training import check_method, train
from pipeline.studies.toy_updates import (
    Adam,
    Combination,
    GradientDescent,
    Stepper,
    conflict_averse_gradient,
    mean_gradient,
    projected_gradients,
)
from pipeline.weighting import WEIGHTINGS

ITERATIONS, TRAJECTORIES, SURFACE = "iterations.csv", "trajectories.parquet", "surface.parquet"

COMBINATIONS: dict[str, Combination] = {
    "ew": mean_gradient,
    "pcgrad": projected_gradients,
    "cagrad": conflict_averse_gradient,
}
STEPPERS: dict[str, type[GradientDescent] | type[Adam]] = {"gd": GradientDescent, "adam": Adam}

GRADIENT_DESCENT = Choice(name="sgd", options={"momentum": 0.0})
"""What `gd` means where the project's own trainer runs."""


@dataclass(frozen=True)
class Method:
    """A weighting and an optimizer as `params.yaml` names them."""

    weighting: Choice
    optimizer: Choice

    @property
    def has_toy_form(self) -> bool:
        """Whether the CAGrad paper's toy code defines it."""
        return self.weighting in map(_plain, COMBINATIONS) and self.optimizer in map(_plain, STEPPERS)

    @property
    def names(self) -> dict[str, str]:
        """Optimizer and weighting as people read them."""
        optimizer = self.optimizer.name if self.optimizer == _plain("gd") else OPTIMIZERS.label(self.optimizer)
        return {"optimizer": optimizer, "weighting": WEIGHTINGS.label(self.weighting)}


@dataclass(frozen=True)
class Run:
    """One start of one setting.

    Attributes:
        lr: learning rate. start: number of the start.
        arrival: iterations until the minimum was reached; None if it was not.
        iterations, x1, x2: the recorded part of the trajectory.
    """

    lr: float
    start: int
    arrival: int | None
    iterations: list[int]
    x1: list[float]
    x2: list[float]


@dataclass(frozen=True)
class ToyTables:
    """What the experiment found.

    Attributes:
        iterations: optimizer, weighting, lr, iterations (the slowest start; null if one did not arrive).
        trajectories: optimizer, weighting, lr, start, iteration, x1, x2 at growing distances in time.
        surface: x1, x2, mean_loss on a grid, to draw trajectories on.
    """

    iterations: pd.DataFrame
    trajectories: pd.DataFrame
    surface: pd.DataFrame

    def write(self, directory: Path) -> None:
        """Write `iterations.csv`, `trajectories.parquet` and `surface.parquet`."""
        write_atomically(directory / ITERATIONS, self.iterations.to_csv(index=False, lineterminator="\n").encode())
        write_table(directory / TRAJECTORIES, self.trajectories)
        write_table(directory / SURFACE, self.surface)


def run_toy(section: Toy, workers: int | None = None) -> ToyTables:
    """Run every weighting x optimizer x learning rate x start.

    Args:
        section: what to run.
        workers: processes; None means one for each CPU, 1 runs everything in this one.

    Raises:
        UserError: an unknown name, a wrong option, or a pair that does not exist.
    """
    methods = [Method(weighting, optimizer) for optimizer in section.optimizers for weighting in section.weightings]
    for method in methods:
        if not method.has_toy_form:
            check_method(method.weighting, _in_registry(method.optimizer))
    jobs = [(method, rates) for method in methods for rates in _shares(method, section.learning_rates)]
    runs = _run_jobs(jobs, section.iterations, workers or os.cpu_count() or 1)
    rows, points = [], []
    for (method, rates), finished in zip(jobs, runs, strict=True):
        for rate in rates:
            arrivals = [run.arrival for run in finished if run.lr == rate]
            slowest = None if None in arrivals else max(arrival for arrival in arrivals if arrival is not None)
            rows.append({**method.names, "lr": rate, "iterations": slowest})
        for run in finished:
            points.append(
                pd.DataFrame(
                    {
                        **method.names,
                        "lr": run.lr,
                        "start": run.start,
                        "iteration": run.iterations,
                        "x1": run.x1,
                        "x2": run.x2,
                    }
                )
            )
    table = pd.DataFrame(rows).astype({"iterations": "Int64"})
    return ToyTables(table, pd.concat(points, ignore_index=True), mean_loss_surface())


def mean_loss_surface(limit: float = 12.0, points: int = 161) -> pd.DataFrame:
    """Return the mean loss on a grid of `points` x `points` between -`limit` and `limit`, x1 running fastest."""
    axis = np.linspace(-limit, limit, points, dtype=np.float32)
    x1, x2 = (each.ravel() for each in np.meshgrid(axis, axis))
    return pd.DataFrame({"x1": x1, "x2": x2, "mean_loss": evaluate(np.stack([x1, x2])).mean_loss})


def recorded_iterations(limit: int) -> list[int]:
    """Return at which iterations a trajectory is drawn: each of the first 20, then ever sparser."""
    chosen = [*range(min(20, limit)), *np.geomspace(20, max(limit, 20), 80).round().astype(int).tolist()]
    return sorted({iteration for iteration in chosen if iteration <= limit})


def run_together(method: Method, learning_rates: Sequence[float], limit: int) -> list[Run]:
    """Run every learning rate and start of a method that has a toy form, all at once.

    A point that gradient descent leaves where it is, or that is no longer finite, is given up: it
    would stay so for ever.
    """
    combine = COMBINATIONS[method.weighting.name]
    rates = np.repeat(np.array(learning_rates, np.float64), len(STARTS))
    positions = np.tile(np.array(STARTS, np.float32), (len(learning_rates), 1)).T.copy()
    stepper: Stepper = STEPPERS[method.optimizer.name](rates)
    rows = np.arange(len(rates))
    arrivals: list[int | None] = [None] * len(rates)
    tracks: list[list[tuple[int, float, float]]] = [[] for _ in rates]
    recorded = set(recorded_iterations(limit))
    still = np.zeros(len(rates), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for iteration in range(limit + 1):
            point = evaluate(positions)
            arrived = point.mean_loss <= ARRIVED
            leaving = arrived | still | ~np.isfinite(positions).all(axis=0)
            shown = np.ones(len(rows), bool) if iteration in recorded else leaving
            for column in shown.nonzero()[0]:
                tracks[rows[column]].append((iteration, float(positions[0, column]), float(positions[1, column])))
            gradients = point.gradients
            if leaving.any():
                for row in rows[arrived]:
                    arrivals[row] = iteration
                staying = ~leaving
                rows, positions, gradients = rows[staying], positions[:, staying], gradients[:, :, staying]
                stepper.keep(staying)
            if not len(rows):
                break
            before, positions = positions, stepper.step(positions, combine(gradients))
            still = (before == positions).all(axis=0) & isinstance(stepper, GradientDescent)
    return [
        Run(float(rates[row]), row % len(STARTS), arrivals[row], *map(list, zip(*track, strict=True)))
        for row, track in enumerate(tracks)
    ]


def _run_job(method: Method, learning_rates: Sequence[float], limit: int) -> list[Run]:
    torch.set_num_threads(1)
    if method.has_toy_form:
        return run_together(method, learning_rates, limit)
    return [
        Run(
            rate,
            start,
            *train(method.weighting, _in_registry(method.optimizer), rate, start, limit, recorded_iterations(limit)),
        )
        for rate in learning_rates
        for start in range(len(STARTS))
    ]


def _run_jobs(jobs: Sequence[tuple[Method, Sequence[float]]], limit: int, workers: int) -> Iterable[list[Run]]:
    if workers == 1:
        return [_run_job(method, rates, limit) for method, rates in jobs]
    with ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_run_job, *zip(*jobs, strict=True), [limit] * len(jobs)))


def _shares(method: Method, learning_rates: Sequence[float]) -> Iterator[Sequence[float]]:
    """Yield the learning rates that one process runs: together where that is cheap, else one by one."""
    if method.has_toy_form:
        yield tuple(learning_rates)
    else:
        yield from ((rate,) for rate in learning_rates)


def _in_registry(optimizer: Choice) -> Choice:
    """Return `optimizer` as the trainer knows it: nothing decays here, for the point is no weight."""
    chosen = GRADIENT_DESCENT if optimizer == _plain("gd") else optimizer
    options = {"weight_decay": 0.0} if "weight_decay" in OPTIMIZERS.options_of(chosen.name) else {}
    return Choice(name=chosen.name, options={**options, **chosen.options})


def _plain(name: str) -> Choice:
    return Choice(name=name)
