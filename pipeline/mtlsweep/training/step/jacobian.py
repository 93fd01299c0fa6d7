"""Task gradients in one buffer: multiplied with each other, combined in place."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from mtlsweep.training.step.gramian import (
    accumulator,
    float32_products,
    multiplies_in_float64,
    positive_semidefinite,
)

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
        self._exact = multiplies_in_float64(device, tasks, elements)
        width = min(elements, max(_BLOCK // tasks, 1)) if self._exact else 0
        self._room = torch.empty(tasks, width, dtype=torch.float64, device=device)

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
        """Return all inner products of rows, [T, T], in float64 or as `float32_products`; see `multiplies_in_float64`."""
        if not self._exact:
            return float32_products(self.rows, self.rows)
        total = accumulator(self.rows, self.rows)
        for block in self.rows.split(self._room.shape[1], dim=1):
            exact = self._room[:, : block.shape[1]].copy_(block)
            total.addmm_(exact, exact.T)
        return total

    def repaired(self, gramian: Tensor) -> Tensor:
        """Return `gramian` [T, T], on the host, positive semi-definite again where it may have lost that."""
        return gramian if self._exact else positive_semidefinite(gramian)

    def products(self, other: Jacobian) -> Tensor:
        """Return the inner products of these rows with those of `other`, [T, T], taken as in `gramian`."""
        if not self._exact:
            return float32_products(self.rows, other.rows)
        total = accumulator(self.rows, other.rows)
        width = self._room.shape[1]
        for own, theirs in zip(self.rows.split(width, dim=1), other.rows.split(width, dim=1), strict=True):
            rooms = self._room[:, : own.shape[1]], other._room[:, : own.shape[1]]
            total.addmm_(rooms[0].copy_(own), rooms[1].copy_(theirs).T)
        return total

    def combine(self, weights: Tensor) -> None:
        """Write sum_i weights_i g_i into `update`; `weights` [T] may live on the CPU."""
        torch.mv(self.rows.T, weights.to(self.rows, non_blocking=True), out=self.update)

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Return views of `flat` [..., P], one for each of `leaves`, shaped [..., *its shape]."""
        parts = flat.split([leaf.numel() for leaf in self._leaves], dim=-1)
        return [part.view(*flat.shape[:-1], *leaf.shape) for part, leaf in zip(parts, self._leaves, strict=True)]
