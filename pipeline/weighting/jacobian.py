"""Task gradients stored once, multiplied in float64, combined in place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 1 << 17
"""Elements converted to float64 at a time: few enough to stay in a cache, enough to be worth a call."""


class Jacobian:
    """One flat row per task in a buffer reused from step to step, and room for their combination.

    Args:
        tasks: T.
        like: the tensors that are differentiated by; together they have P elements.
    """

    def __init__(self, tasks: int, like: Sequence[Tensor]) -> None:
        device, elements = like[0].device, sum(tensor.numel() for tensor in like)
        self._like = tuple(like)
        self.rows = torch.empty(tasks, elements, dtype=torch.float32, device=device)
        """[T, P], float32."""
        self.shaped_rows = [self.shaped(row) for row in self.rows]
        """For each task, views of its row shaped as `like`."""
        self.update = torch.empty(elements, dtype=torch.float32, device=device)
        """[P], float32: what `combine` writes."""
        self.shaped_update = self.shaped(self.update)
        """Views of `update` shaped as `like`."""
        exact = torch.float32 if device.type == "mps" else torch.float64
        self._room = torch.empty(tasks, min(elements, max(_BLOCK // tasks, 1)), dtype=exact, device=device)

    def store(self, task: int, gradients: tuple[Tensor, ...] | list[Tensor]) -> None:
        """Copy `gradients`, shaped as `like`, into the row of task number `task`."""
        torch._foreach_copy_(self.shaped_rows[task], gradients)

    def gramian(self) -> Tensor:
        """Return all inner products of rows, [T, T], summed in float64 where the device has it."""
        total = torch.zeros(len(self.rows), len(self.rows), dtype=self._room.dtype, device=self.rows.device)
        for block in self.rows.split(self._room.shape[1], dim=1):
            exact = self._room[:, : block.shape[1]].copy_(block)
            total.addmm_(exact, exact.T)
        return total

    def combine(self, weights: Tensor) -> None:
        """Write sum_i weights_i g_i into `update`; `weights` [T] may live on the CPU."""
        torch.mv(self.rows.T, weights.to(self.rows), out=self.update)

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Return views of `flat` [..., P], one for each of `like`, shaped [..., *its shape]."""
        parts = flat.split([tensor.numel() for tensor in self._like], dim=-1)
        return [part.view(*flat.shape[:-1], *tensor.shape) for part, tensor in zip(parts, self._like, strict=True)]
