"""From a batch to its task losses, in the chosen precision, and from the device to the host."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from mtlsweep.suites.networks.multitask import MultiTaskNetwork, Representation
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task


class CutLosses(NamedTuple):
    """Losses whose graph begins at the shared representation.

    Attributes:
        parts: the representation's, at the end of the backbone's graph; without those that have no gradient, such as indices.
        leaves: where the losses' graph begins: the same values, float32 whatever the parts' precision.
        seen: `leaves` in the parts' precision, as heads see them.
        losses: of each task.
    """

    parts: tuple[Tensor, ...]
    leaves: tuple[Tensor, ...]
    seen: tuple[Tensor, ...]
    losses: list[Tensor]


class Forward:
    """A network, its tasks and a precision.

    Args:
        network: on its device.
        tasks: the T tasks, in the order in which losses are given; a batch without a label of some has T smaller.
        precision: `float32`, or `bfloat16` for autocast of the network; losses are computed in float32 in both.
    """

    def __init__(self, network: MultiTaskNetwork, tasks: Sequence[Task], precision: str) -> None:
        self.network, self.tasks = network, tuple(tasks)
        self._device_type = next(network.parameters()).device.type
        self._reduced = precision == "bfloat16"

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device_type, torch.bfloat16) if self._reduced else nullcontext()

    def present(self, batch: Batch) -> Sequence[Task]:
        """Return the tasks of which a row has a label; only these have a loss, and only their heads are run."""
        return [task for task in self.tasks if not batch.lacks(task.name)] if batch.labelled else self.tasks

    def losses(self, batch: Batch) -> list[Tensor]:
        """Return the loss of each task; a list, so that each backward pass goes through its own head only."""
        if batch.labelled:
            return self.losses_from(self.representation(batch), batch)
        with self._autocast():
            outputs = self.network(batch.inputs)
            return [self._loss(task, outputs[task.name], batch) for task in self.tasks]

    def loss(self, task: Task, batch: Batch) -> Tensor:
        """Return the loss of one of the tasks, with no other head run."""
        with self._autocast():
            return self._loss(task, self.network.heads[task.name](self.network.representation(batch.inputs)), batch)

    def representation(self, batch: Batch) -> Representation:
        """Return what all heads see."""
        with self._autocast():
            return self.network.representation(batch.inputs)

    def cut_losses(self, batch: Batch) -> CutLosses:
        """Return the loss of each task as a function of the representation, so that heads and backbone are differentiated apart."""
        representation = self.representation(batch)
        whole = representation if isinstance(representation, tuple) else (representation,)
        parts = tuple(part for part in whole if part.requires_grad)
        leaves = tuple(part.detach().float().requires_grad_() for part in parts)
        seen = tuple(leaf.to(part.dtype) for leaf, part in zip(leaves, parts, strict=True))
        replaced = iter(seen)
        given = tuple(next(replaced) if part.requires_grad else part for part in whole)
        losses = self.losses_from(given if isinstance(representation, tuple) else given[0], batch)
        return CutLosses(parts, leaves, seen, losses)

    def losses_from(self, representation: Representation, batch: Batch) -> list[Tensor]:
        """Return the loss of each task, given the backbone's output for the batch."""
        heads = self.network.heads
        with self._autocast():
            return [self._loss(task, heads[task.name](representation), batch) for task in self.present(batch)]

    @torch.no_grad()
    def losses_without_side_effects(self, batch: Batch) -> list[Tensor]:
        """Return the loss of each task without gradients and without updating batch statistics."""
        return self.losses_at({}, batch)

    def losses_at(self, parameters: Mapping[str, Tensor], batch: Batch) -> list[Tensor]:
        """Return the loss of each task with these parameters in place of the network's, without updating batch statistics."""
        copies = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        with self._autocast():
            outputs = functional_call(self.network, {**copies, **parameters}, (batch.inputs,))
            return [self._loss(task, outputs[task.name], batch) for task in self.present(batch)]

    def _loss(self, task: Task, output: Tensor, batch: Batch) -> Tensor:
        output, target = batch.with_label(task.name, output)
        if not self._reduced:
            return task.loss(output, target).float()
        with torch.autocast(self._device_type, enabled=False):
            return task.loss(output.float(), target).float()


def to_host(losses: Sequence[Tensor], *others: Tensor) -> list[Tensor]:
    """Return the losses as one vector [T], and `others`, on the CPU in float64, moved in a single transfer."""
    parts = (torch.stack([loss.detach() for loss in losses]), *others)
    if parts[0].device.type == "cpu":
        return [part.double() for part in parts]
    return in_one_transfer(parts)


def in_one_transfer(parts: Sequence[Tensor]) -> list[Tensor]:
    """Return `parts`, which share a device, on the CPU in float64; this waits for the device once."""
    widest = functools.reduce(torch.promote_types, (part.dtype for part in parts))
    together = torch.cat([part.reshape(-1).to(widest) for part in parts]).cpu().double()
    pieces = together.split([part.numel() for part in parts])
    return [piece.view(part.shape) for piece, part in zip(pieces, parts, strict=True)]
