"""The experiment `toy`: after how many iterations each setting reaches the toy problem's global minimum.

EW, PCGrad and CAGrad with gradient descent and Adam run as in the CAGrad paper's toy code, all
learning rates and starts at once. Every other weighting or optimizer, and these with options, is
trained by the project's own trainer at its native scale: one start at a time, which is slow.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mtlsweep import paths
from mtlsweep.environment import usable_cpus
from mtlsweep.files import write_atomically
from mtlsweep.methods.optimizers import without_weight_decay
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params
from mtlsweep.params.studies import find_section
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.studies.toy.network import check_method, train
from mtlsweep.studies.toy.params import Toy
from mtlsweep.studies.toy.problem import STARTS, evaluate
from mtlsweep.studies.toy.together import Method, Run, recorded_iterations, run_together

ITERATIONS, TRAJECTORIES, SURFACE = "iterations.csv", "trajectories.parquet", "surface.parquet"

GRADIENT_DESCENT = Choice(name="sgd", options={"momentum": 0.0})
"""The meaning of `gd` in the project's own trainer."""


@dataclass(frozen=True)
class ToyTables:
    """What the experiment found.

    Attributes:
        iterations: optimizer, weighting, lr, iterations (the slowest start; null if one did not arrive).
        trajectories: optimizer, weighting, lr, start, iteration, x1, x2 at ever larger intervals.
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


def run(params: Params, suite: str | None = None) -> str:
    """Run the experiment and write its tables under `results/toy/`; return a summary."""
    directory = paths.RESULTS / "toy"
    tables = run_toy(find_section(params.studies, Toy))
    tables.write(directory)
    arrived = int(tables.iterations["iterations"].notna().sum())
    return f"{arrived} of {len(tables.iterations)} settings reach the minimum from every start -> {directory}"


def methods(section: Toy) -> list[tuple[Choice, Choice]]:
    """Return the weightings and optimizers that the experiment trains with."""
    optimizers = map(_in_registry, section.optimizers)
    return [(weighting, optimizer) for optimizer in optimizers for weighting in section.weightings]


def run_toy(section: Toy, workers: int | None = None) -> ToyTables:
    """Run every weighting x optimizer x learning rate x start.

    Args:
        section: what to run.
        workers: processes; None means one for each usable CPU, 1 runs everything in this one.

    Raises:
        UserError: an unknown name, a wrong option, or a pair that cannot be combined.
    """
    methods = [Method(weighting, optimizer) for optimizer in section.optimizers for weighting in section.weightings]
    for method in methods:
        if not method.has_toy_form:
            check_method(method.weighting, _in_registry(method.optimizer))
    jobs = [(method, rates) for method in methods for rates in _shares(method, section.learning_rates)]
    runs = _run_jobs(jobs, section.iterations, workers or usable_cpus())
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
    """Yield the learning rates that one process runs: together if that is fast, else one by one."""
    if method.has_toy_form:
        yield tuple(learning_rates)
    else:
        yield from ((rate,) for rate in learning_rates)


def _in_registry(optimizer: Choice) -> Choice:
    """Return `optimizer` as the trainer knows it, without weight decay, because the point is not a weight."""
    chosen = GRADIENT_DESCENT if optimizer == Choice(name="gd") else optimizer
    return without_weight_decay(chosen, unless_given=True)
