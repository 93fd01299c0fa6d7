"""Examples of a dataset on disk while they are prepared, so that an interrupted preparation continues."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mtlsweep.environment import usable_cpus
from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import Columns, Dataset
from mtlsweep.suites.datasets.progress_bar import progress
from mtlsweep.suites.prepared.column_rules import check_layout, check_values
from mtlsweep.suites.prepared.rows import read_rows

SHARD_BYTES = 16 * 2**20
BATCH_BYTES = 64 * 2**20
BATCH_ROWS = (256, 1024)


def write_shards(dataset: Dataset, split: str, folder: Path) -> list[Path]:
    """Write the examples of a split in pieces; pieces that an interrupted preparation left are kept.

    Raises:
        UserError: a column is not what its task needs; the message names column, row and value.
    """
    size = dataset.sizes()[split]
    first = read_rows(dataset, split, 0, 1)
    layout = {name: (column.dtype, column.shape[1:]) for name, column in first.items()}
    rows = int(np.clip(SHARD_BYTES // row_bytes(first), 1, BATCH_ROWS[1]))

    def write(start: int) -> Path:
        stop = min(start + rows, size)
        path = folder / f"{split}-{start:08d}-{stop:08d}.npz"
        if not path.exists():
            columns = read_rows(dataset, split, start, stop)
            check_layout(dataset, split, columns)
            found = {name: (column.dtype, column.shape) for name, column in columns.items()}
            wanted = {name: (dtype, (stop - start, *shape)) for name, (dtype, shape) in layout.items()}
            if found != wanted:
                raise UserError(
                    f"rows {start} to {stop} of split `{split}` are {found}, but earlier rows are {wanted}."
                )
            check_values(dataset, split, columns, start)
            temporary = path.with_suffix(".tmp")
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **columns)
            temporary.replace(path)
        return path

    starts = range(0, size, rows)
    pool = ThreadPoolExecutor(max_workers=usable_cpus())
    try:
        return list(progress(pool.map(write, starts), f"prepare {split}", len(starts)))
    finally:
        pool.shutdown(cancel_futures=True)


def regroup(parts: Iterator[Columns], rows: int) -> Iterator[Columns]:
    """Yield the rows of `parts`, in order, in groups of `rows`; only the last may be smaller."""
    waiting: list[Columns] = []
    count = 0
    for part in parts:
        start, length = 0, count_rows(part)
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


def load_examples(path: Path) -> Columns:
    """Read one piece."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def row_bytes(columns: Columns) -> int:
    """Return the bytes of one example."""
    return sum(column.nbytes for column in columns.values()) // count_rows(columns)


def count_rows(columns: Columns) -> int:
    """Return how many rows the columns have."""
    return len(next(iter(columns.values())))
