"""Prepared data: memory-mapped Arrow files, read in batches of any order.

Opening takes milliseconds and almost no private memory, so each trial opens the data itself. A small split
is put on the device once; a larger one is copied batch by batch from the page cache.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import IMAGE, SPLITS
from mtlsweep.suites.prepared.batches import cut
from mtlsweep.suites.prepared.columns import Column, PinnedBuffers, RecycledMemory, decode_together
from mtlsweep.suites.prepared.layout import FINGERPRINT_KEY, SCALES_KEY, SUMMARY, split_file
from mtlsweep.suites.tasks import Task, task_from_definition

RESIDENT_BYTES = 64 * 2**20
"""A split no larger than this lives on the device, in its stored types, from its first batch on."""


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
            scales: dict[str, float] = json.loads(metadata[SCALES_KEY])
        except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise UserError(f"prepared data {path} cannot be read ({error}): delete it and run `dvc repro`.") from error
        self._length = sum(part.num_rows for part in parts)
        self._columns = {
            name: Column([_as_numpy(part.column(name)) for part in parts], scales.get(name))
            for name in self._reader.schema.names
        }
        bytes_stored = sum(column.nbytes for column in self._columns.values())
        self._fits = bytes_stored <= resident_bytes
        self._resident: dict[torch.device, dict[str, Tensor]] = {}
        self._pinned: dict[tuple[torch.device, int], PinnedBuffers] = {}

    def __len__(self) -> int:
        return self._length

    def batches(
        self, order: Tensor | None, batch_size: int, device: torch.device, merge_lone_row: bool = False
    ) -> Iterator[Batch]:
        """Yield the rows that `order` names, `batch_size` at a time; the last batch may be smaller.

        Args:
            order: row numbers [M] (int64, CPU), such as a permutation; None means all, as stored.
            merge_lone_row: whether a last batch of one row joins the batch before it, as in training.
        """
        rows = torch.arange(len(self)) if order is None else order
        if self._fits:
            rows = rows.to(device)
        memory = RecycledMemory()
        for chosen in cut(rows, batch_size, merge_lone_row):
            if self._fits:
                decoded = self._from_device(chosen, device)
            elif device.type == "cuda":
                decoded = self._through_pinned_memory(chosen, batch_size + merge_lone_row, device)
            else:
                decoded = decode_together(self._columns, chosen, memory)
            yield Batch(inputs=decoded.pop(IMAGE), targets=decoded)

    def _from_device(self, chosen: Tensor, device: torch.device) -> dict[str, Tensor]:
        if device not in self._resident:
            everything = torch.arange(len(self))
            self._resident[device] = {
                name: column.stored_rows(everything).to(device) for name, column in self._columns.items()
            }
        resident = self._resident[device].items()
        return {name: self._columns[name].decode(column.index_select(0, chosen)) for name, column in resident}

    def _through_pinned_memory(self, chosen: Tensor, room: int, device: torch.device) -> dict[str, Tensor]:
        if (device, room) not in self._pinned:
            self._pinned[device, room] = PinnedBuffers(self._columns, room, device)
        return self._pinned[device, room].send(chosen)


class PreparedData:
    """A prepared dataset: its summary and its splits.

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

    def tasks_of(self, names: Collection[str]) -> list[Task]:
        """Return the tasks with these names, in the dataset's order."""
        return [task for task in self.tasks if task.name in names]


def open_prepared(directory: Path, resident_bytes: int = RESIDENT_BYTES) -> PreparedData:
    """Open what `prepare` wrote.

    Raises:
        UserError: the directory is missing, incomplete or damaged.
    """
    return PreparedData(directory, resident_bytes)


def _as_numpy(column: pa.Array) -> np.ndarray:
    if isinstance(column, pa.FixedShapeTensorArray):
        array: np.ndarray = column.to_numpy_ndarray()
        return array
    return column.to_numpy(zero_copy_only=True)
