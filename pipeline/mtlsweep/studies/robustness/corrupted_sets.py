"""Corrupted copies of a split's images: made once, in parallel, and kept on disk under a hash of their inputs."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mtlsweep.environment import usable_cpus
from mtlsweep.errors import UserError
from mtlsweep.files import content_hash
from mtlsweep.studies.robustness.corruptions import SMALLEST, corrupt, library_version
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared.batches import cut
from mtlsweep.suites.prepared.splits import Batch, PreparedData, Split
from mtlsweep.training.seeds import stream, stream_seed

CORRUPTED = Path("data/corrupted")

_PART_BYTES = 4 * 2**20
"""Images that one process corrupts at a time; this bounds memory for splits of any size."""

_CPU = torch.device("cpu")


class ChosenRows:
    """Some rows of a split, perhaps with other images, as evaluation and training use a split.

    Args:
        split: source of the targets, and of the images if no others are given.
        rows: [M], numbers of the rows.
        images: [M, C, H, W], uint8.
    """

    def __init__(self, split: Split, rows: Tensor, images: np.ndarray | None = None) -> None:
        self._split, self._rows, self._images = split, rows, images

    def __len__(self) -> int:
        return len(self._rows)

    def batches(
        self, order: Tensor | None, batch_size: int, device: torch.device, merge_lone_row: bool = False
    ) -> Iterator[Batch]:
        """Yield batches as `Split.batches` does; `order` counts within the chosen rows."""
        order = torch.arange(len(self)) if order is None else order
        places = cut(order, batch_size, merge_lone_row)
        clean = self._split.batches(self._rows[order], batch_size, device, merge_lone_row)
        for place, batch in zip(places, clean, strict=True):
            if self._images is None:
                yield batch
                continue
            images = torch.from_numpy(self._images[place.numpy()]).to(device)
            yield replace(batch, inputs={**batch.inputs, IMAGE: images.float().mul_(1 / 255)})


@dataclass(frozen=True)
class SetSpec:
    """One corrupted set.

    Attributes:
        name: of its file. split: `train` or `test`. rows: which.
        names, severities: of each row's corruption. salt: makes its seeds differ from those of other sets.
    """

    name: str
    split: str
    rows: Tensor
    names: tuple[str, ...]
    severities: tuple[int, ...]
    salt: str


class CorruptedSets:
    """Makes and keeps the corrupted sets of one prepared dataset.

    Args:
        data: the clean images, in [0, 1].
        seed: of all corruptions.
        executor: corrupts in parallel; None means in this process.
        root: directory of all corrupted sets.

    Raises:
        UserError: images are too small, do not have 1 or 3 channels, or the library is not installed.
    """

    def __init__(self, data: PreparedData, seed: int, executor: Executor | None, root: Path = CORRUPTED) -> None:
        channels, height, width = data.inputs[IMAGE]
        if channels not in (1, 3) or min(height, width) < SMALLEST:
            raise UserError(
                f"images of {data.directory} have shape {tuple(data.inputs[IMAGE])}; corruptions take 1 or 3 channels and sides "
                f"of at least {SMALLEST} pixels: set `studies.robustness.enabled: false` for this suite."
            )
        self._data, self._seed, self._executor = data, seed, executor
        self.directory = root / content_hash({"data": data.fingerprint, "seed": seed, "library": library_version()})

    def get(self, spec: SetSpec) -> ChosenRows:
        """Return the set, made now if it is not on disk."""
        path = self._path(spec)
        if not path.exists():
            self._make(spec, path)
        return ChosenRows(self._data.splits[spec.split], spec.rows, np.load(path, mmap_mode="r"))

    def drop(self, spec: SetSpec) -> None:
        """Remove the set from disk."""
        self._path(spec).unlink(missing_ok=True)

    def _path(self, spec: SetSpec) -> Path:
        return self.directory / f"{spec.split}-{len(spec.rows)}-{spec.name}.npy"

    def _make(self, spec: SetSpec, path: Path) -> None:
        """Write the set under another name and rename it, so that a stop in the middle leaves no incomplete file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        shape = (len(spec.rows), *self._data.inputs[IMAGE])
        try:
            images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            per_part = max(1, _PART_BYTES // int(np.prod(shape[1:])))
            parts = [slice(start, min(start + per_part, shape[0])) for start in range(0, shape[0], per_part)]
            for waiting in _in_groups(parts, 2 * usable_cpus()):
                arguments = [self._arguments(spec, part) for part in waiting]
                apply = map if self._executor is None else self._executor.map
                for part, corrupted in zip(waiting, apply(corrupt, *zip(*arguments, strict=True)), strict=True):
                    images[part] = corrupted
            images.flush()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _arguments(self, spec: SetSpec, part: slice) -> tuple[np.ndarray, Sequence[str], Sequence[int], list[int]]:
        rows, names, severities = spec.rows[part], spec.names[part], spec.severities[part]
        (clean,) = self._data.splits[spec.split].batches(rows, len(rows), _CPU)
        seeds = [
            stream_seed(self._seed, "corruption", spec.split, spec.salt, row, name, severity)
            for row, name, severity in zip(rows.tolist(), names, severities, strict=True)
        ]
        return as_bytes(clean.inputs[IMAGE]), names, severities, seeds


def as_bytes(inputs: Tensor) -> np.ndarray:
    """Return images [N, C, H, W] in [0, 1] as uint8.

    Raises:
        UserError: values outside this range.
    """
    if float(inputs.min()) < 0 or float(inputs.max()) > 1:
        raise UserError(
            f"images lie between {float(inputs.min()):.3g} and {float(inputs.max()):.3g}; corruptions take values from 0 to 1: "
            "store images as uint8, or set `studies.robustness.enabled: false` for this suite."
        )
    images: np.ndarray = (inputs * 255).round().to(torch.uint8).numpy()
    return images


def evenly_spaced(rows: int, wanted: int | None) -> Tensor:
    """Return `wanted` evenly spaced row numbers below `rows`; all of them if None or if there are fewer."""
    count = min(rows, wanted or rows)
    return torch.arange(count) * rows // count


def corrupted_test_set(rows: Tensor, corruption: str, severity: int) -> SetSpec:
    """Return the test rows under one corruption."""
    count = len(rows)
    return SetSpec(f"{corruption}-{severity}", "test", rows, (corruption,) * count, (severity,) * count, "")


def corrupted_training_set(
    rows: Tensor, corruptions: Sequence[str], severities: Sequence[int], seed: int, epoch: int
) -> SetSpec:
    """Return the training rows of one epoch, each under a corruption drawn at random."""
    kinds = [(name, severity) for name in corruptions for severity in severities]
    drawn = torch.randint(len(kinds), (len(rows),), generator=stream(seed, "drawn corruptions", epoch)).tolist()
    names, levels = zip(*(kinds[number] for number in drawn), strict=True)
    label = content_hash([list(corruptions), list(severities)])
    return SetSpec(f"epoch{epoch}-{label}", "train", rows, names, levels, str(epoch))


@contextmanager
def corrupting_pool(workers: int) -> Iterator[Executor | None]:
    """Yield an executor with this many processes; None for one process."""
    if workers == 1:
        yield None
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield pool


def _in_groups(parts: list[slice], count: int) -> Iterator[list[slice]]:
    for start in range(0, len(parts), count):
        yield parts[start : start + count]
