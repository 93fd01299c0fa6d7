"""Prepared data: memory-mapped Arrow files, read in batches of any order.

Opening costs milliseconds and almost no private memory, so each trial opens its own. A small split
is put on the device once; a larger one is copied batch by batch out of the page cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.data.dataset import IMAGE, SPLITS, Columns
from pipeline.errors import UserError
from pipeline.tasks import Task, task_from_definition

SUMMARY = "summary.json"
CONTACT_SHEET = "contact_sheet.png"
FINGERPRINT_KEY = b"fingerprint"
SCALES_KEY = b"scales"
RESIDENT_BYTES = 64 * 2**20
"""A split no larger than this lives on the device, in its stored types, from its first batch on."""

SMALL_ROW_BYTES = 64
"""Columns with rows no larger than this are read into memory as a whole when a split is opened."""


@dataclass(frozen=True)
class Batch:
    """Inputs [N, C, H, W], float32, and for each task its target (first dimension N)."""

    inputs: Tensor
    targets: dict[str, Tensor]


class Split:
    """The rows of one Arrow file.

    Args:
        path: file written by `prepare`.
        resident_bytes: the largest split, in stored bytes, that is kept on the device.

    Raises:
        UserError: the file is missing or damaged.
    """

    def __init__(self, path: Path, resident_bytes: int = RESIDENT_BYTES) -> None:
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            parts = [self._reader.get_batch(index) for index in range(self._reader.num_record_batches)]
            metadata = self._reader.schema.metadata
            self.fingerprint = metadata[FINGERPRINT_KEY].decode()
            self._scales: dict[str, float] = json.loads(metadata[SCALES_KEY])
        except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise UserError(f"prepared data {path} cannot be read ({error}): delete it and run `dvc repro`.") from error
        self._length = sum(part.num_rows for part in parts)
        self._columns = {
            name: _ColumnReader([_as_numpy(part.column(name)) for part in parts]) for name in self._reader.schema.names
        }
        bytes_stored = sum(column.nbytes for column in self._columns.values())
        self._fits = bytes_stored <= resident_bytes
        self._resident: dict[torch.device, dict[str, Tensor]] = {}
        self._pinned: dict[tuple[torch.device, int], _PinnedBuffers] = {}

    def __len__(self) -> int:
        return self._length

    def batches(self, order: Tensor | None, batch_size: int, device: torch.device) -> Iterator[Batch]:
        """Yield the rows that `order` names, `batch_size` at a time; the last batch may be smaller.

        Args:
            order: row numbers [M] (int64, CPU), such as a permutation; None means all, as stored.
        """
        rows = torch.arange(len(self)) if order is None else order
        if self._fits:
            resident = self._on_device(device)
            for chosen in rows.to(device).split(batch_size):
                yield self._decode({name: column.index_select(0, chosen) for name, column in resident.items()})
        else:
            send = self._pinned_buffers(batch_size, device).send if device.type == "cuda" else self._gather
            for chosen in rows.split(batch_size):
                yield self._decode(send(chosen.numpy()))

    def rows(self, start: int, stop: int) -> Columns:
        """Return copies of the columns of some rows as they are stored."""
        chosen = np.arange(start, stop)
        return {name: column.gather(chosen) for name, column in self._columns.items()}

    def _on_device(self, device: torch.device) -> dict[str, Tensor]:
        if device not in self._resident:
            everything = self._gather(np.arange(len(self)))
            self._resident[device] = {name: column.to(device) for name, column in everything.items()}
        return self._resident[device]

    def _gather(self, chosen: np.ndarray) -> dict[str, Tensor]:
        return {name: _as_tensor(column.gather(chosen)) for name, column in self._columns.items()}

    def _pinned_buffers(self, batch_size: int, device: torch.device) -> _PinnedBuffers:
        if (device, batch_size) not in self._pinned:
            self._pinned[device, batch_size] = _PinnedBuffers(self._columns, batch_size, device)
        return self._pinned[device, batch_size]

    def _decode(self, columns: dict[str, Tensor]) -> Batch:
        decoded = {
            name: _decode_column(column, self._columns[name].dtype, self._scales.get(name))
            for name, column in columns.items()
        }
        return Batch(inputs=decoded.pop(IMAGE), targets=decoded)


class _ColumnReader:
    """One column over all record batches, each a read-only view of the mapped file."""

    def __init__(self, parts: list[np.ndarray]) -> None:
        self.nbytes = sum(part.nbytes for part in parts)
        self.shape, self.dtype = parts[0].shape[1:], parts[0].dtype
        small = parts[0].nbytes // len(parts[0]) <= SMALL_ROW_BYTES
        self._parts = [np.concatenate(parts)] if small else parts
        self._part_rows = len(self._parts[0])

    def gather(self, chosen: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Copy the rows `chosen` into `out` or a new array, and return it."""
        if len(self._parts) == 1:
            return np.take(self._parts[0], chosen, axis=0, out=out)
        gathered = np.empty((len(chosen), *self.shape), self.dtype) if out is None else out
        for position, row in enumerate(chosen.tolist()):
            gathered[position] = self._parts[row // self._part_rows][row % self._part_rows]
        return gathered


class _PinnedBuffers:
    """Page-locked memory through which batches reach a GPU while it computes; two of each, used in turn."""

    def __init__(self, columns: Mapping[str, _ColumnReader], batch_size: int, device: torch.device) -> None:
        self._columns, self._device, self._turn = columns, device, 0
        self._buffers = [
            {
                name: _as_tensor(np.empty((batch_size, *column.shape), column.dtype)).pin_memory()
                for name, column in columns.items()
            }
            for _ in range(2)
        ]
        self._sent = [torch.cuda.Event() for _ in range(2)]

    def send(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """Return the rows `chosen` on the device; the copy may still be under way."""
        self._turn = 1 - self._turn
        self._sent[self._turn].synchronize()  # what these buffers held before has left them
        rows = {name: buffer[: len(chosen)] for name, buffer in self._buffers[self._turn].items()}
        for name, column in self._columns.items():
            column.gather(chosen, out=rows[name].numpy().view(column.dtype))
        on_device = {name: row.to(self._device, non_blocking=True) for name, row in rows.items()}
        self._sent[self._turn].record(torch.cuda.current_stream(self._device))
        return on_device


class PreparedData:
    """A prepared dataset: what its summary says, and its splits.

    Raises:
        UserError: the directory is missing, incomplete or damaged.
    """

    def __init__(self, directory: Path, resident_bytes: int = RESIDENT_BYTES) -> None:
        self.directory = directory
        try:
            summary = json.loads((directory / SUMMARY).read_text())
        except FileNotFoundError as error:
            raise UserError(f"there is no prepared data in {directory}: run `dvc repro` to prepare it.") from error
        except json.JSONDecodeError as error:
            raise UserError(f"{directory / SUMMARY} is damaged ({error}): delete it and run `dvc repro`.") from error
        self.fingerprint: str = summary["fingerprint"]
        self.tasks: tuple[Task, ...] = tuple(task_from_definition(definition) for definition in summary["tasks"])
        self.input_shape: tuple[int, int, int] = tuple(summary["input_shape"])
        self.splits: Mapping[str, Split] = {name: Split(split_file(directory, name), resident_bytes) for name in SPLITS}
        for name, split in self.splits.items():
            if split.fingerprint != self.fingerprint or len(split) != summary["splits"][name]:
                raise UserError(
                    f"{split_file(directory, name)} does not belong to {directory / SUMMARY} "
                    f"(another fingerprint or number of rows): delete the directory and run `dvc repro`."
                )


def open_prepared(directory: Path, resident_bytes: int = RESIDENT_BYTES) -> PreparedData:
    """Open what `prepare` wrote.

    Raises:
        UserError: the directory is missing, incomplete or damaged.
    """
    return PreparedData(directory, resident_bytes)


def split_file(directory: Path, split: str) -> Path:
    """Return where a split is stored."""
    return directory / f"{split}.arrow"


def _as_numpy(column: pa.Array) -> np.ndarray:
    if isinstance(column, pa.FixedShapeTensorArray):
        array: np.ndarray = column.to_numpy_ndarray()
        return array
    return column.to_numpy(zero_copy_only=True)


def _as_tensor(column: np.ndarray) -> Tensor:
    """Share memory with `column`; 16-bit unsigned numbers, of which few devices know much, pass as signed ones."""
    return torch.from_numpy(column.view(np.int16) if column.dtype == np.uint16 else column)


def _decode_column(column: Tensor, dtype: np.dtype, scale: float | None) -> Tensor:
    if dtype == np.uint16:
        column = column.to(torch.int32) & 0xFFFF
    if scale is not None:
        return column.to(torch.float32).mul_(scale)
    return column.to(torch.float32 if column.is_floating_point() else torch.int64)
