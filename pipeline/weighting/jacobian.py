"""Task gradients stored once, multiplied in float64, combined in place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_BLOCK = 1 << 16
"""Columns converted to float64 at a time: small enough to stay in a cache."""


class Jacobian:
    """One flat row per task in a buffer reused from step to step, and room for their combination.

    Args:
        tasks: T.
        like: the tensors that are differentiated by; together they have P elements.
    """

    def __init__(self, tasks: int, like: Sequence[Tensor]) -> None:
        elements = sum(tensor.numel() for tensor in like)
        self.rows = torch.empty(tasks, elements, dtype=torch.float32, device=like[0].device)
        """[T, P], float32."""
        self.combination = torch.empty(elements, dtype=torch.float32, device=like[0].device)
        """[P], the update."""
        self._like = like

    def store(self, task: int, gradients: Sequence[Tensor]) -> None:
        """Copy `gradients`, shaped as `like`, into the row of task number `task`."""
        torch.cat([gradient.reshape(-1) for gradient in gradients], out=self.rows[task])

    def gramian(self) -> Tensor:
        """Return all inner products of rows, [T, T], summed in float64 where the device has it."""
        dtype = torch.float32 if self.rows.device.type == "mps" else torch.float64
        total = torch.zeros(len(self.rows), len(self.rows), dtype=dtype, device=self.rows.device)
        for block in self.rows.split(_BLOCK, dim=1):
            exact = block.to(dtype)
            total.addmm_(exact, exact.T)
        return total

    def combine(self, weights: Tensor) -> None:
        """Write sum_i weights_i g_i into `combination`; `weights` [T] may live on the CPU."""
        torch.mv(self.rows.T, weights.to(self.rows), out=self.combination)

    def shaped(self, flat: Tensor) -> list[Tensor]:
        """Return views of `flat` [..., P], one for each of `like`, shaped [..., *its shape]."""
        parts = flat.split([tensor.numel() for tensor in self._like], dim=-1)
        return [part.view(*flat.shape[:-1], *tensor.shape) for part, tensor in zip(parts, self._like, strict=True)]
