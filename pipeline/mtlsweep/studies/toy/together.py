"""Many settings of the toy problem, trained together as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.studies.toy.problem import ARRIVED, STARTS, evaluate
from mtlsweep.studies.toy.updates import (
    Adam,
    Combination,
    GradientDescent,
    Stepper,
    conflict_averse_gradient,
    mean_gradient,
    projected_gradients,
)

COMBINATIONS: dict[str, Combination] = {
    "ew": mean_gradient,
    "pcgrad": projected_gradients,
    "cagrad": conflict_averse_gradient,
}

STEPPERS: dict[str, type[GradientDescent] | type[Adam]] = {"gd": GradientDescent, "adam": Adam}


@dataclass(frozen=True)
class Method:
    """A weighting and an optimizer as `params.yaml` names them."""

    weighting: Choice
    optimizer: Choice

    @property
    def has_toy_form(self) -> bool:
        """Whether the CAGrad paper's toy code defines it."""
        return self.weighting in map(_by_name, COMBINATIONS) and self.optimizer in map(_by_name, STEPPERS)

    @property
    def names(self) -> dict[str, str]:
        """Optimizer and weighting as people read them."""
        optimizer = self.optimizer.name if self.optimizer == Choice(name="gd") else OPTIMIZERS.label(self.optimizer)
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


def recorded_iterations(limit: int) -> list[int]:
    """Return at which iterations a trajectory is drawn: each of the first 20, then fewer and fewer."""
    chosen = [*range(min(20, limit)), *np.geomspace(20, max(limit, 20), 80).round().astype(int).tolist()]
    return sorted({iteration for iteration in chosen if iteration <= limit})


def run_together(method: Method, learning_rates: Sequence[float], limit: int) -> list[Run]:
    """Run every learning rate and start of a method that has a toy form, all at once.

    A point that gradient descent leaves where it is, or that is no longer finite, is dropped: it
    would never change again.
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


def _by_name(name: str) -> Choice:
    return Choice(name=name)
