"""Task gradients in one buffer: multiplied in float64, combined in place."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 1 << 17
"""Elements converted to float64 at a time: few enough to fit into the cache, enough to be worth a call."""


class Jacobian:
    """One flat row per task in a buffer reused from step to step, with space for their combination.

    Args:
        tasks: T.
        leaves: the float32 tensors that are differentiated by; together they have P elements.
    """

    def __init__(self, tasks: int, leaves: Sequence[Tensor]) -> None:
        device, elements = leaves[0].device, sum(tensor.numel() for tensor in leaves)
        self._leaves = tuple(leaves)
        self.rows = torch.empty(tasks, elements, dtype=torch.float32, device=device)
        """[T, P], float32."""
        self.shaped_rows = [self.shaped(row) for row in self.rows]
        """For each task, views of its row shaped as `leaves`."""
        self.update = torch.empty(elements, dtype=torch.float32, device=device)
        """[P], float32: what `combine` writes."""
        self.shaped_update = self.shaped(self.update)
        """Views of `update` shaped as `leaves`."""
        exact = torch.float32 if device.type == "mps" else torch.float64
        self._room = torch.empty(tasks, min(elements, max(_BLOCK // tasks, 1)), dtype=exact, device=device)

    def first(self, tasks: int) -> Jacobian:
        """Return the first rows alone, for a step without the other tasks; memory is shared."""
        if tasks == len(self.rows):
            return self
        part = copy.copy(self)
        part.rows, part.shaped_rows, part._room = self.rows[:tasks], self.shaped_rows[:tasks], self._room[:tasks]
        return part

    def differentiate(self, losses: Sequence[Tensor], retain_graph: bool) -> None:
        """Write the gradients of `losses` [T] with respect to the leaves into the rows.

        Every other leaf gets its gradient added to its `.grad`, as by any `backward()`; the `.grad` of
        `leaves` holds the last row afterwards. Set `retain_graph` if the losses share parts of their graph.
        """
        self._differentiate([(loss,) for loss in losses], [None] * len(losses), retain_graph)

    def differentiate_from(self, parts: Sequence[Tensor], seeds: Sequence[Sequence[Tensor]]) -> None:
        """Write into each row the gradient of sum_k <seed_k, part_k>, with one tensor of `seeds` [T] for each of `parts`.

        As `differentiate`, where the gradients at `parts` are known already.
        """
        self._differentiate([parts] * len(seeds), seeds, retain_graph=True)

    def _differentiate(
        self, outputs: Sequence[Sequence[Tensor]], seeds: Sequence[Sequence[Tensor] | None], retain_graph: bool
    ) -> None:
        self.rows.zero_()
        for index, (output, seed, row) in enumerate(zip(outputs, seeds, self.shaped_rows, strict=True)):
            for leaf, gradient in zip(self._leaves, row, strict=True):
                leaf.grad = gradient  # autograd adds in place: copying separate gradients would cost 2 % of a step
            torch.autograd.backward(output, seed, retain_graph=retain_graph and index < len(outputs) - 1)

    def gramian(self) -> Tensor:
        """Return all inner products of rows, [T, T], summed in float64 where the device has it."""
        total = torch.zeros(len(self.rows), len(self.rows), dtype=self._room.dtype, device=self.rows.device)
        for block in self.rows.split(self._room.shape[1], dim=1):
            exact = self._room[:, : block.shape[1]].copy_(block)
            total.addmm_(exact, exact.T)
        return total

    def products(self, other: Jacobian) -> Tensor:
        """Return the inner products of these rows with those of `other`, [T, T], summed as in `gramian`."""
        total = torch.zeros(len(self.rows), len(self.rows), dtype=self._room.dtype, device=self.rows.device)
        width = self._room.shape[1]
        for own, theirs in zip(self.rows.split(width, dim=1), other.rows.split(width, dim=1), strict=True):
            rooms = self._room[:, : own.shape[1]], other._room[:, : own.shape[1]]
            total.addmm_(rooms[0].copy_(own), rooms[1].copy_(theirs).T)
        return total

    def combine(self, weights: Tensor) -> None:
        """Write sum_i weights_i g_i into `update`; `weights` [T] may live on the CPU."""
        torch.mv(self.rows.T, weights.to(self.rows), out=self.update)

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Return views of `flat` [..., P], one for each of `leaves`, shaped [..., *its shape]."""
        parts = flat.split([leaf.numel() for leaf in self._leaves], dim=-1)
        return [part.view(*flat.shape[:-1], *leaf.shape) for part, leaf in zip(parts, self._leaves, strict=True)]
