"""What the checks of a weighting do with it: train a small problem, or ask it for weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mtlsweep.methods.weighting import (
    WEIGHTINGS,
    GramianWeighting,
    JacobianWeighting,
    LossWeighting,
    Weighting,
    Weights,
)
from mtlsweep.params.choice import Choice
from mtlsweep.testing.small_problems import SmallProblem, matrices
from mtlsweep.training.step.updater import Updater, build_updater
from mtlsweep.trials.metric_names import MetricName


def new_updater(problem: SmallProblem, choice: Choice, **options: Any) -> Updater:
    """Return what trains `problem` with the weighting and Adam; `options` are those of `build_updater`."""
    generator = torch.Generator().manual_seed(7)
    adam = Choice(name="adam")
    return build_updater(problem.network, problem.tasks, choice, adam, 0.01, generator=generator, **options)


def run_steps(problem: SmallProblem, updater: Updater, batches: range) -> None:
    """Take one step on each of the problem's `batches`."""
    for index in batches:
        updater.step(problem.batch(index))


def run_epochs(problem: SmallProblem, updater: Updater) -> None:
    """Train two epochs of two steps, and two steps of the third."""
    for start in (0, 2):
        run_steps(problem, updater, range(start, start + 2))
        updater.end_epoch()
        updater.end_validation(
            {
                str(MetricName("val", task.name, metric.name)): start + 1.0 + position
                for position, task in enumerate(problem.tasks)
                for metric in task.metrics
            }
        )
    run_steps(problem, updater, range(4, 6))


def new_method(choice: Choice, tasks: int, seed: int = 7) -> Weighting:
    """Return the weighting for that many tasks, with a random stream of this `seed`."""
    names = [f"task{index}" for index in range(tasks)]
    return WEIGHTINGS.create(choice, names, torch.Generator().manual_seed(seed))


def weigh(method: Weighting, losses: Tensor, gramian: Tensor) -> Weights | None:
    """Return the weights for one step, or None if the method does not give any by itself."""
    if isinstance(method, LossWeighting):
        weights = method.weigh(losses)
        return Weights(weights, weights)
    return method.weigh(losses, gramian) if isinstance(method, GramianWeighting) else None


def meet(method: Weighting, losses: Tensor, gramian: Tensor, device: torch.device) -> Weights | None:
    """As `weigh`, and a `JacobianWeighting` combines gradients of ones on `device`, which only this kind sees."""
    if not isinstance(method, JacobianWeighting):
        return weigh(method, losses, gramian)
    rows, values = torch.ones(len(losses), 2, 4, device=device), None
    if method.conventions.gradients == "representation":
        values = [torch.ones(2, 4, device=device)]
    return method.combine(losses.float().to(device), [rows if values else rows.flatten(1)], values)[1]


def inputs(tasks: int) -> list[tuple[str, Tensor, Tensor]]:
    """Return (name, losses, Gramian) for every matrix of the bank, with losses from 1e-6 to 1e3."""
    sizes = torch.logspace(-6, 3, tasks, dtype=torch.float64)
    return [
        (name, sizes if number % 2 else torch.linspace(0.5, 1.5, tasks, dtype=torch.float64), rows @ rows.T)
        for number, (name, rows) in enumerate(matrices(tasks))
    ]
