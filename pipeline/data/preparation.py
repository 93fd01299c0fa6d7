"""`prepare`: rows of a dataset -> one Arrow file per split, whole or absent.

Rows are gathered in shards, several at once; a shard that was finished is kept when preparation is
stopped, and taken up by the next attempt. The shards become one file per split, and the directory
gets its name only when everything is in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.data.contact_sheet import contact_sheet
from pipeline.data.dataset import DATASETS, IMAGE, SPLITS, Columns, Dataset
from pipeline.data.progress import progress
from pipeline.data.store import CONTACT_SHEET, FINGERPRINT_KEY, SCALES_KEY, SUMMARY, split_file
from pipeline.errors import UserError
from pipeline.files import canonical_json, content_hash
from pipeline.registry import Choice

SHARD_BYTES = 16 * 2**20
BATCH_BYTES = 64 * 2**20
BATCH_ROWS = (256, 1024)
EXAMPLES = 24


def prepare(choice: Choice, directory: Path) -> None:
    """Write the dataset that `choice` names into `directory`, replacing what is there.

    Writes train.arrow, val.arrow, test.arrow, summary.json and contact_sheet.png.

    Raises:
        UserError: an unknown dataset or option; raw data that is missing or damaged.
    """
    resolved = DATASETS.resolve(choice)
    dataset: Dataset = DATASETS.create(resolved)
    partial = directory.parent / f".{directory.name}.partial-{content_hash(resolved.model_dump(mode='json'))}"
    raw, shards, finished = (partial / name for name in ("raw", "shards", "finished"))
    shutil.rmtree(finished, ignore_errors=True)
    for folder in (raw, shards, finished):
        folder.mkdir(parents=True, exist_ok=True)
    dataset.begin(raw)
    _check_declaration(dataset)
    files = {split: _write_shards(dataset, split, shards) for split in SPLITS}
    _write_store(dataset, choice.name, files, finished)
    shutil.rmtree(directory, ignore_errors=True)
    finished.replace(directory)
    shutil.rmtree(partial)


def _check_declaration(dataset: Dataset) -> None:
    names = [task.name for task in dataset.tasks]
    if not names or len(set(names)) < len(names):
        raise UserError(f"dataset tasks are {names}: give at least one task, each with a name of its own.")
    for name in names:
        if not re.fullmatch(r"\w[\w-]*", name, re.ASCII) or name == IMAGE:
            raise UserError(f"task name {name!r}: use letters, digits, `_` and `-`, and not `{IMAGE}`.")
    sizes = dataset.sizes()
    if set(sizes) != set(SPLITS) or min(sizes.values()) < 1:
        raise UserError(f"dataset splits are {dict(sizes)}: `train`, `val` and `test` must each have a row or more.")


def _write_shards(dataset: Dataset, split: str, folder: Path) -> list[Path]:
    size = dataset.sizes()[split]
    first = dataset.rows(split, 0, 1)
    layout = {name: (column.dtype, column.shape[1:]) for name, column in first.items()}
    expected = {IMAGE, *(task.name for task in dataset.tasks)}
    if set(layout) != expected:
        raise UserError(f"dataset columns of split `{split}` are {sorted(layout)}; needed: {sorted(expected)}.")
    rows = int(np.clip(SHARD_BYTES // _row_bytes(first), 1, BATCH_ROWS[1]))

    def write(start: int) -> Path:
        stop = min(start + rows, size)
        path = folder / f"{split}-{start:08d}-{stop:08d}.npz"
        if not path.exists():
            columns = dataset.rows(split, start, stop)
            found = {name: (column.dtype, column.shape) for name, column in columns.items()}
            wanted = {name: (dtype, (stop - start, *shape)) for name, (dtype, shape) in layout.items()}
            if found != wanted:
                raise UserError(
                    f"rows {start} to {stop} of split `{split}` are {found}, but earlier rows ask for {wanted}."
                )
            temporary = path.with_suffix(".tmp")
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **columns)
            temporary.replace(path)
        return path

    starts = range(0, size, rows)
    pool = ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)))
    try:
        return list(progress(pool.map(write, starts), f"prepare {split}", len(starts)))
    finally:
        pool.shutdown(cancel_futures=True)


def _write_store(dataset: Dataset, name: str, files: Mapping[str, list[Path]], directory: Path) -> None:
    definitions = [task.definition() for task in dataset.tasks]
    fingerprint, statistics = _fingerprint(files, definitions, dataset.scales)
    for split in SPLITS:
        _write_arrow(files[split], split_file(directory, split), fingerprint, dataset.scales)
    first = _load(files["train"][0])
    summary = {
        "dataset": name,
        "fingerprint": fingerprint,
        "input_shape": list(first[IMAGE].shape[1:]),
        "splits": {split: dataset.sizes()[split] for split in SPLITS},
        "tasks": definitions,
        "notes": {**dataset.notes(), "statistics": statistics},
    }
    (directory / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    contact_sheet({name: column[:EXAMPLES] for name, column in first.items()}).save(directory / CONTACT_SHEET)


def _fingerprint(
    files: Mapping[str, list[Path]], definitions: list[dict[str, Any]], scales: Mapping[str, float]
) -> tuple[str, dict[str, Any]]:
    """Hash the bytes of every column with dtypes, shapes, scales and tasks; gather statistics on the way."""
    hashes: dict[str, Any] = {}
    layout: dict[str, Any] = {}
    statistics: dict[str, _Statistics] = {}
    for split in SPLITS:
        for columns in map(_load, files[split]):
            for name, column in columns.items():
                key = f"{split}/{name}"
                hashes.setdefault(key, hashlib.sha256()).update(np.ascontiguousarray(column))
                layout[key] = [column.dtype.str, list(column.shape[1:])]
                if name != IMAGE:
                    statistics.setdefault(key, _Statistics()).update(column)
    content = {
        "columns": {key: [*layout[key], value.hexdigest()] for key, value in hashes.items()},
        "scales": {name: float(scale) for name, scale in scales.items()},
        "tasks": definitions,
    }
    fingerprint = hashlib.sha256(canonical_json(content)).hexdigest()
    return fingerprint, {key: value.summary() for key, value in statistics.items()}


class _Statistics:
    """Counts of each value of an 8-bit column; range and mean of any other, as stored."""

    def __init__(self) -> None:
        self._counts: np.ndarray = np.zeros(256, np.int64)
        self._minimum, self._maximum, self._sum, self._size = np.inf, -np.inf, 0.0, 0

    def update(self, column: np.ndarray) -> None:
        if column.dtype == np.uint8:
            self._counts += np.bincount(column.ravel(), minlength=256)
        else:
            self._minimum = min(self._minimum, float(column.min()))
            self._maximum = max(self._maximum, float(column.max()))
            self._sum += float(column.sum(dtype=np.float64))
            self._size += column.size

    def summary(self) -> dict[str, Any]:
        if self._size == 0:
            return {"counts": {str(value): int(count) for value, count in enumerate(self._counts) if count}}
        return {"minimum": self._minimum, "maximum": self._maximum, "mean": self._sum / self._size}


def _write_arrow(shards: list[Path], path: Path, fingerprint: str, scales: Mapping[str, float]) -> None:
    first = _load(shards[0])
    low, high = BATCH_ROWS
    rows = int(np.clip(BATCH_BYTES // _row_bytes(first), low, high))
    schema = pa.schema(
        [pa.field(name, _arrow_column(column).type) for name, column in first.items()],
        metadata={FINGERPRINT_KEY: fingerprint.encode(), SCALES_KEY: canonical_json(dict(scales))},
    )
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for columns in _regroup(map(_load, shards), rows):
            writer.write_batch(pa.record_batch([_arrow_column(columns[name]) for name in schema.names], schema=schema))
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _regroup(parts: Iterator[Columns], rows: int) -> Iterator[Columns]:
    """Yield the rows of `parts`, in order, in groups of `rows`; only the last may be smaller."""
    waiting: list[Columns] = []
    count = 0
    for part in parts:
        start, length = 0, len(part[IMAGE])
        while count + length - start >= rows:
            stop = start + rows - count
            yield _join([*waiting, {name: column[start:stop] for name, column in part.items()}])
            waiting, count, start = [], 0, stop
        if start < length:
            waiting.append({name: column[start:] for name, column in part.items()})
            count += length - start
    if waiting:
        yield _join(waiting)


def _join(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _arrow_column(column: np.ndarray) -> pa.Array:
    if column.ndim == 1:
        return pa.array(column)
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(column))


def _load(path: Path) -> Columns:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def _row_bytes(columns: Columns) -> int:
    return sum(column.nbytes for column in columns.values()) // len(columns[IMAGE])
