"""One column of a split: how its rows are stored, gathered, and converted into a network's input."""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

SMALL_ROW_BYTES = 64
"""A column with rows no larger than this is read into memory when a split is opened."""

GATHERED_ROW_BYTES = 1 << 14
"""Rows no larger than this are gathered in one call; for larger ones a call for each costs nothing."""

ALIGNMENT = 64


class Column:
    """The rows of one column over all record batches, each a read-only view of the mapped file.

    Args:
        parts: the record batches; all but the last have equally many rows.
        scale: what a stored number is multiplied by, if anything.
    """

    def __init__(self, parts: list[np.ndarray], scale: float | None) -> None:
        self.nbytes = sum(part.nbytes for part in parts)
        self.shape, self.stored = parts[0].shape[1:], parts[0].dtype
        self._scale = scale
        self._decoded = torch.int64 if self.stored.kind in "iu" and scale is None else torch.float32
        row_bytes = parts[0].nbytes // len(parts[0])
        if row_bytes <= SMALL_ROW_BYTES:
            parts = [np.concatenate(parts)]
        self._parts = [_as_tensor(part) for part in parts]
        self._part_rows = len(parts[0])
        self._at_once = row_bytes <= GATHERED_ROW_BYTES
        if self._at_once:
            self._rows, self._first_element = _in_one_view(parts)

    def gather(self, chosen: Tensor, out: Tensor) -> None:
        """Copy the rows `chosen` into `out`, converting them to its type on the way."""
        if self._at_once:
            self._gather_at_once(chosen, out)
            return
        for position, row in enumerate(chosen.tolist()):
            out[position].copy_(self._parts[row // self._part_rows][row % self._part_rows])

    def _gather_at_once(self, chosen: Tensor, out: Tensor) -> None:
        """Copy small rows in one call, whatever their record batches."""
        first_elements = chosen if self._first_element is None else self._first_element[chosen]
        flat = out.view(len(chosen), -1)
        if out.dtype == self._rows.dtype:
            torch.index_select(self._rows, 0, first_elements, out=flat)
        else:
            flat.copy_(self._rows.index_select(0, first_elements))

    def empty(self, rows: int) -> Tensor:
        """Return an empty buffer for rows as they are stored."""
        return torch.empty((rows, *self.shape), dtype=self._parts[0].dtype)

    def stored_rows(self, chosen: Tensor) -> Tensor:
        """Return a copy of the rows `chosen` as they are stored."""
        rows = self.empty(len(chosen))
        self.gather(chosen, rows)
        return rows

    def decoded_bytes(self, rows: int) -> int:
        """Return the size of decoded rows, up to the next multiple of `ALIGNMENT`."""
        size = rows * math.prod(self.shape) * self._decoded.itemsize
        return -(-size // ALIGNMENT) * ALIGNMENT

    def decoded_rows(self, chosen: Tensor, memory: Tensor) -> Tensor:
        """Write the rows `chosen` into `memory` (bytes) as a batch needs them (int64, or float32 times the scale); return them."""
        count = len(chosen) * math.prod(self.shape)
        rows = memory[: count * self._decoded.itemsize].view(self._decoded).view(len(chosen), *self.shape)
        if self.stored == np.uint16:
            return rows.copy_(self.decode(self.stored_rows(chosen)))
        self.gather(chosen, rows)
        return rows if self._scale is None else rows.mul_(self._scale)

    def decode(self, stored: Tensor) -> Tensor:
        """Convert stored rows on any device to the form of `decoded_rows`; do not use the stored rows afterwards."""
        if self.stored == np.uint16:
            stored = stored.to(torch.int32) & 0xFFFF
        rows = stored.to(self._decoded)
        return rows if self._scale is None else rows.mul_(self._scale)


class RecycledMemory:
    """Memory for batches, reused when nothing refers to the batch in it any more.

    Two blocks are enough: a loop over batches holds one while the next is read. The default allocator would
    hold four, and return new pages whose first access takes time; NumPy asks for huge pages, so there are
    few first accesses.
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[np.ndarray, weakref.ref[np.ndarray]]] = []

    def take(self, size: int) -> Tensor:
        """Return `size` bytes that no living tensor shares."""
        free = [block for block, lent in self._blocks if lent() is None and len(block) >= size]
        block = free[0] if free else _aligned(size)
        lent = block[:size]  # lives as long as any tensor that shares the memory of the one made of it
        others = [(other, reference) for other, reference in self._blocks if other is not block]
        self._blocks = [*others[-1:], (block, weakref.ref(lent))]
        return torch.from_numpy(lent)


def decode_together(columns: Mapping[str, Column], chosen: Tensor, memory: RecycledMemory) -> dict[str, Tensor]:
    """Return the decoded rows `chosen` of all columns, in one block of `memory`."""
    sizes = [column.decoded_bytes(len(chosen)) for column in columns.values()]
    parts = memory.take(sum(sizes)).split(sizes)
    return {
        name: column.decoded_rows(chosen, part) for (name, column), part in zip(columns.items(), parts, strict=True)
    }


class PinnedBuffers:
    """Page-locked memory through which batches reach a GPU while it computes; two of each, used in turn."""

    def __init__(self, columns: Mapping[str, Column], batch_size: int, device: torch.device) -> None:
        self._columns, self._device, self._turn = columns, device, 0
        self._buffers = [
            {name: column.empty(batch_size).pin_memory() for name, column in columns.items()} for _ in range(2)
        ]
        self._sent = [torch.cuda.Event() for _ in range(2)]

    def send(self, chosen: Tensor) -> dict[str, Tensor]:
        """Return the decoded rows `chosen` on the device; the copy may not be finished yet."""
        self._turn = 1 - self._turn
        self._sent[self._turn].synchronize()  # wait until their previous content has been sent
        rows = {name: buffer[: len(chosen)] for name, buffer in self._buffers[self._turn].items()}
        for name, column in self._columns.items():
            column.gather(chosen, rows[name])
        on_device = {name: row.to(self._device, non_blocking=True) for name, row in rows.items()}
        self._sent[self._turn].record(torch.cuda.current_stream(self._device))
        return {name: self._columns[name].decode(row) for name, row in on_device.items()}


def _aligned(size: int) -> np.ndarray:
    memory: np.ndarray = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


def _in_one_view(parts: list[np.ndarray]) -> tuple[Tensor, Tensor | None]:
    """Return a view of all record batches, flat, and where in it each row is; None where row by row.

    Record batches lie in the mapped file at some distance from each other. Row e of the view starts at element e of
    the file, counted from the first batch: its rows overlap, and one call gathers rows of any batches. What lies
    between batches is never asked for.
    """
    if len(parts) == 1:
        return _as_tensor(parts[0].reshape(len(parts[0]), -1)), None
    places = [part.ctypes.data - parts[0].ctypes.data for part in parts]
    size, length = parts[0].itemsize, math.prod(parts[0].shape[1:])
    if sorted(places) != places or any(place % size for place in places):
        raise ValueError("record batches of a file lie in order, each at a multiple of 64 bytes")
    shape = (places[-1] // size + parts[-1].size - length + 1, length)
    view = np.lib.stride_tricks.as_strided(parts[0], shape, (size, size), writeable=False)
    firsts = [place // size + length * np.arange(len(part)) for place, part in zip(places, parts, strict=True)]
    return _as_tensor(view), torch.from_numpy(np.concatenate(firsts))


def _as_tensor(array: np.ndarray) -> Tensor:
    """Share memory with `array`; 16-bit unsigned numbers, which few operations support, are viewed as signed ones."""
    with warnings.catch_warnings():  # torch warns about read-only memory; nothing here writes to it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array.view(np.int16) if array.dtype == np.uint16 else array)
