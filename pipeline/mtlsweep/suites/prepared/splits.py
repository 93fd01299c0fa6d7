"""Prepared data: memory-mapped Arrow files, read in batches of any order.

Opening takes milliseconds and almost no private memory, so each trial opens the data itself. A small split
is put on the device once; a larger one is copied batch by batch from the page cache.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import SPLITS
from mtlsweep.suites.inputs import IMAGE, Feature, InputShape
from mtlsweep.suites.prepared.batches import cut
from mtlsweep.suites.prepared.columns import Column, PinnedBuffers, RecycledMemory, decode_together
from mtlsweep.suites.prepared.labels import LabelledRows
from mtlsweep.suites.prepared.layout import FINGERPRINT_KEY, LABELLED, SCALES_KEY, SUMMARY, split_file
from mtlsweep.suites.tasks import Task, task_from_definition

RESIDENT_BYTES = 64 * 2**20
"""A split no larger than this lives on the device, in its stored types, from its first batch on."""


@dataclass(frozen=True)
class Batch:
    """The inputs by column, such as `image` [N, C, H, W], and for each task its target; the first dimension is N.

    Attributes:
        labelled: for each task of which a row has no label, the numbers of the rows that have one [M] (int64, on
            the device of the batch). Without such a row the task is absent from the batch.
        further: batches drawn independently from the same data, for methods that ask for more than one. Who trains on
            one fixed batch gives none: its gradients have no noise, and the batch stands for them.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    labelled: Mapping[str, Tensor] = field(default_factory=dict)
    further: tuple[Batch, ...] = ()

    def lacks(self, task: str) -> bool:
        """Return whether no row has a label of `task`."""
        rows = self.labelled.get(task)
        return rows is not None and len(rows) == 0

    def complete(self, tasks: Collection[str]) -> Batch:
        """Return the batch of the rows that have a label of every one of `tasks`."""
        partial = [self.labelled[task] for task in tasks if task in self.labelled]
        if not partial:
            return self
        count = torch.bincount(torch.cat(partial), minlength=len(self))
        there = count == len(partial)
        inputs, targets = (
            {name: column[there] for name, column in columns.items()} for columns in (self.inputs, self.targets)
        )
        return Batch(inputs, targets)

    def with_label(self, task: str, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return `output` [N, ...] of `task` and its target, both of the rows that have a label."""
        rows = self.labelled.get(task)
        return (output, self.targets[task]) if rows is None else (output[rows], self.targets[task][rows])

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


def with_further(batches: Sequence[Batch]) -> Batch:
    """Return the first of `batches` with the others as `further`; a task that one of them lacks is absent from all."""
    lacking = {task for batch in batches for task in batch.labelled if batch.lacks(task)}
    if lacking:
        none = dict.fromkeys(
            lacking, torch.empty(0, dtype=torch.int64, device=next(iter(batches[0].inputs.values())).device)
        )
        batches = [replace(batch, labelled={**batch.labelled, **none}) for batch in batches]
    return replace(batches[0], further=tuple(batches[1:]))


class Split:
    """The rows of one Arrow file.

    Args:
        path: file written by `prepare`.
        inputs: names of the input columns; all others are targets.
        resident_bytes: the largest split, in stored bytes, that is kept on the device.

    Raises:
        UserError: the file is missing or damaged.
    """

    def __init__(self, path: Path, inputs: Collection[str], resident_bytes: int = RESIDENT_BYTES) -> None:
        self._inputs = tuple(inputs)
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
            if not name.startswith(LABELLED)
        }
        self.labelled = LabelledRows(
            {
                name: np.concatenate([_as_numpy(part.column(name)) for part in parts])
                for name in self._reader.schema.names
                if name.startswith(LABELLED)
            }
        )
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
        resident = rows.to(device, non_blocking=True) if self._fits else rows
        memory = RecycledMemory()
        pieces = (cut(each, batch_size, merge_lone_row) for each in (rows, resident))
        for on_host, chosen in zip(*pieces, strict=True):
            if self._fits:
                decoded = self._from_device(chosen, device)
            elif device.type == "cuda":
                decoded = self._through_pinned_memory(chosen, batch_size + merge_lone_row, device)
            else:
                decoded = decode_together(self._columns, chosen, memory)
            inputs = {name: decoded.pop(name) for name in self._inputs}
            yield Batch(inputs, decoded, self.labelled.of(on_host, device))

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
        self.inputs: Mapping[str, InputShape] = _inputs_of(summary)
        self.splits: Mapping[str, Split] = {
            name: Split(split_file(directory, name), self.inputs, resident_bytes) for name in SPLITS
        }
        for name, split in self.splits.items():
            if split.fingerprint != self.fingerprint or len(split) != summary["splits"][name]:
                raise UserError(
                    f"{split_file(directory, name)} does not belong to {directory / SUMMARY} "
                    f"(another fingerprint or number of rows): delete the directory and run `dvc repro`."
                )
        self.incomplete: frozenset[str] = frozenset().union(*(split.labelled.tasks for split in self.splits.values()))
        """The tasks that some row has no label of."""

    def tasks_of(self, names: Collection[str]) -> list[Task]:
        """Return the tasks with these names, in the dataset's order."""
        return [task for task in self.tasks if task.name in names]


def open_prepared(directory: Path, resident_bytes: int = RESIDENT_BYTES) -> PreparedData:
    """Open what `prepare` wrote.

    Raises:
        UserError: the directory is missing, incomplete or damaged.
    """
    return PreparedData(directory, resident_bytes)


def _inputs_of(summary: Mapping[str, Any]) -> dict[str, InputShape]:
    if "input_shape" in summary:  # images alone
        return {IMAGE: InputShape(summary["input_shape"])}
    return {
        name: InputShape(entry["shape"], [Feature(*feature) for feature in entry.get("features", ())])
        for name, entry in summary["inputs"].items()
    }


def _as_numpy(column: pa.Array) -> np.ndarray:
    if isinstance(column, pa.FixedShapeTensorArray):
        array: np.ndarray = column.to_numpy_ndarray()
        return array
    return column.to_numpy(zero_copy_only=True)
