"""How gradients of tasks and of samples agree, at one point of training.

A measurement draws samples of a batch and tasks, takes the gradient of every drawn task's loss on
every drawn sample alone, and compares them in pairs. Gradients are those on the shared parameters that
every task reaches; BatchNorm uses its running statistics and dropout is off, so that samples of a
batch do not affect each other. Gradients are never all in memory: coordinates are processed piece by piece,
and inner products and numbers of coordinates by sign are summed over pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mtlsweep.studies.gradients.pairs import Pairs, PairSums
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task

BYTES_PER_ELEMENT = 32
"""Bytes per coordinate of a piece: gradient in float64 and a reordered copy, signs (float64, float32), magnitudes."""


@dataclass(frozen=True)
class Piece:
    """Coordinates `start` to `stop` of parameter number `parameter`."""

    parameter: int
    start: int
    stop: int


def plan_pieces(sizes: Sequence[int], most: int) -> list[list[Piece]]:
    """Group all coordinates of parameters of these `sizes`, in order, into groups of at most `most` coordinates."""
    groups: list[list[Piece]] = [[]]
    room = most
    for parameter, size in enumerate(sizes):
        start = 0
        while start < size:
            if room == 0:
                groups.append([])
                room = most
            stop = min(size, start + room)
            groups[-1].append(Piece(parameter, start, stop))
            room -= stop - start
            start = stop
    return groups


def reached_by_all(network: MultiTaskNetwork, tasks: Sequence[Task], batch: Batch) -> dict[str, nn.Parameter]:
    """Return, by name, the shared parameters on which every task's loss depends.

    Elsewhere a task's gradient is zero by construction, which would dilute every measure.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    shared = [parameter for parameter in network.shared_parameters() if parameter.requires_grad]
    reached = set(range(len(shared)))
    with measuring(network):
        losses = [*_losses(network, tasks, batch)]
    for loss in losses:
        gradients = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
        reached &= {position for position, gradient in enumerate(gradients) if gradient is not None}
    return {names[id(shared[position])]: shared[position] for position in sorted(reached)}


class ConflictMeter:
    """Measures conflicts of one network's gradients.

    Args:
        parameters: by name, those on which gradients are compared.
        by_layer: whether to measure each parameter separately, too.
        memory_bytes: memory for gradients, without the graphs of the drawn samples.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], by_layer: bool, memory_bytes: float) -> None:
        self._names, self._parameters = list(parameters), list(parameters.values())
        self._by_layer, self._memory_bytes = by_layer, memory_bytes

    def measure(self, network: MultiTaskNetwork, tasks: Sequence[Task], batch: Batch, samples: Tensor) -> list[Pairs]:
        """Compare gradients of `tasks` and of the rows `samples` of `batch`, and tasks over the whole batch."""
        with measuring(network):
            losses = [[*_losses(network, tasks, _row(batch, row))] for row in samples.tolist()]
            of_batch = [*_losses(network, tasks, batch)]
            sums = self._sum_up(losses, of_batch)
        layers = {"all": sum(sums[1:], sums[0])}
        if self._by_layer:
            layers |= dict(zip(self._names, sums, strict=True))
        return [
            Pairs(kind, averaged, layer, {name: values.cpu() for name, values in pairs.measures().items()})
            for layer, each in layers.items()
            for (kind, averaged), pairs in each.kinds().items()
        ]

    def _sum_up(self, losses: list[list[Tensor]], of_batch: list[Tensor]) -> list[LayerSums]:
        """Return the sums of each parameter, or only of all together."""
        rows = len(losses) * len(of_batch) + len(of_batch)
        most = min(max(1, int(self._memory_bytes / (rows * BYTES_PER_ELEMENT))), 2**24 - 1)
        sums = [LayerSums() for _ in (self._parameters if self._by_layer else [None])]
        for group in plan_pieces([parameter.numel() for parameter in self._parameters], most):
            single = torch.stack([torch.stack([self._gradient(loss, group) for loss in own]) for own in losses])
            whole = torch.stack([self._gradient(loss, group) for loss in of_batch])
            if not self._by_layer:
                sums[0].add(single, whole)
                continue
            lengths = [piece.stop - piece.start for piece in group]
            for piece, own, of_all in zip(group, single.split(lengths, -1), whole.split(lengths, -1), strict=True):
                sums[piece.parameter].add(own, of_all)
        return sums

    def _gradient(self, loss: Tensor, group: list[Piece]) -> Tensor:
        wanted = [self._parameters[piece.parameter] for piece in group]
        gradients = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True, materialize_grads=True)
        cut = [gradient.flatten()[piece.start : piece.stop] for gradient, piece in zip(gradients, group, strict=True)]
        return torch.cat(cut).double()


@dataclass
class LayerSums:
    """The four kinds of pairs, summed over coordinates."""

    tasks: PairSums = field(default_factory=PairSums)
    samples: PairSums = field(default_factory=PairSums)
    tasks_of_batch: PairSums = field(default_factory=PairSums)
    samples_over_tasks: PairSums = field(default_factory=PairSums)

    def add(self, single: Tensor, whole: Tensor) -> None:
        """Add gradients of samples [N, T, C] and of the batch [T, C]."""
        self.tasks.add(single)
        self.samples.add(single.transpose(0, 1))
        self.tasks_of_batch.add(whole[None])
        self.samples_over_tasks.add(single.mean(dim=1)[None])

    def __add__(self, other: LayerSums) -> LayerSums:
        return LayerSums(
            self.tasks + other.tasks,
            self.samples + other.samples,
            self.tasks_of_batch + other.tasks_of_batch,
            self.samples_over_tasks + other.samples_over_tasks,
        )

    def kinds(self) -> dict[tuple[str, bool], PairSums]:
        """Return the sums by (kind, averaged)."""
        return {
            ("inter-task", False): self.tasks,
            ("inter-sample", False): self.samples,
            ("inter-task", True): self.tasks_of_batch,
            ("inter-sample", True): self.samples_over_tasks,
        }


@contextmanager
def measuring(network: nn.Module) -> Iterator[None]:
    """Put `network` into evaluation mode inside the context; afterwards every module has its mode back."""
    were_training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in were_training:
            module.training = True


def _losses(network: MultiTaskNetwork, tasks: Sequence[Task], batch: Batch) -> Iterator[Tensor]:
    outputs = network(batch.inputs)
    for task in tasks:
        yield task.loss(*batch.with_label(task.name, outputs[task.name]))


def _row(batch: Batch, row: int) -> Batch:
    inputs, targets = (
        {name: column[row : row + 1] for name, column in columns.items()} for columns in (batch.inputs, batch.targets)
    )
    return Batch(inputs, targets)
