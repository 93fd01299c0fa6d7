"""The toy problem as a network, so that the project's own trainer can run any method on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlsweep.methods.combination import check_combination
from mtlsweep.params.choice import Choice
from mtlsweep.studies.toy.problem import ARRIVED, STARTS, losses
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Metric, Task
from mtlsweep.suites.tasks.loss_only import NoMetrics
from mtlsweep.training.seeds import stream
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import build_updater

NAMES = ("L1", "L2")

_NOTHING = Batch({IMAGE: torch.zeros(1)}, {name: torch.zeros(1) for name in NAMES})
"""The problem has no data, but a step needs a batch."""


@dataclass(frozen=True)
class ToyTask(Task):
    """A loss that the network has already computed."""

    metrics: ClassVar[tuple[Metric, ...]] = ()

    @property
    def outputs(self) -> int:
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return output

    def evaluator(self) -> NoMetrics:
        return NoMetrics()


class _Position(nn.Module):
    def __init__(self, start: Sequence[float]) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.tensor(start, dtype=torch.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.position


class _Loss(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def forward(self, position: Tensor) -> Tensor:
        return losses(position[0], position[1])[self._number]


def toy_network(start: Sequence[float]) -> MultiTaskNetwork:
    """Return the problem as a network: the point's position [2] is the backbone's parameter, the losses are the heads."""
    return MultiTaskNetwork(_Position(start), {name: _Loss(number) for number, name in enumerate(NAMES)})


def check_method(weighting: Choice, optimizer: Choice) -> None:
    """Check that the trainer knows both and that they can be combined.

    Raises:
        UserError: unknown or not combinable.
    """
    check_combination(weighting, optimizer, NAMES)


def train(
    weighting: Choice, optimizer: Choice, learning_rate: float, start: int, limit: int, recorded: Sequence[int]
) -> tuple[int | None, list[int], list[float], list[float]]:
    """Train from start number `start` until the minimum is reached, the losses explode or `limit` steps are done.

    Returns:
        The arrival (None without one); and iteration, x1 and x2 where the trajectory is `recorded`.
    """
    network = toy_network(STARTS[start])
    (position,) = network.shared_parameters()
    updater = build_updater(
        network,
        [ToyTask(name) for name in NAMES],
        weighting,
        optimizer,
        learning_rate,
        generator=stream(start, "weighting"),
        explosion_factor=1e6,
    )
    chosen = set(recorded)
    track: list[tuple[int, float, float]] = []
    arrival = None
    for iteration in range(limit + 1):
        with torch.no_grad():
            first, second = losses(position[0], position[1])
            arrived = bool(0.5 * (first + second) <= ARRIVED)
        if arrived or iteration in chosen:
            track.append((iteration, *position.detach().tolist()))
        if arrived:
            arrival = iteration
            break
        try:
            updater.step(_NOTHING)
            updater.show_average()
        except Diverged:
            break
    iterations, x1, x2 = zip(*track, strict=True)
    return arrival, list(iterations), list(x1), list(x2)
