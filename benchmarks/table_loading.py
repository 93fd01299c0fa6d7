"""Batches of rows of a table: the prepared store against indexing one tensor in memory.

    python benchmarks/table_loading.py --directory build/table_loading

A table of 98 inputs and 2 targets, float32, is prepared; an epoch reads it in shuffled batches. `mapped` reads from the
mapped file, `resident` holds the split in memory as the store does with small ones. The floor is `tensor[rows]` on one
tensor of 100 columns. CPU time a batch, median over the epochs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.dataset import Dataset, Given
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.suites.tasks.regression import Regression

INPUTS = 98


class Noise(Dataset):
    """A table of normal numbers."""

    tasks = (Regression("first"), Regression("second"))
    inputs = ("row",)
    scales: Mapping[str, float] = {}

    def __init__(self, *, rows: int) -> None:
        self._rows = np.random.default_rng(0).normal(size=(rows, INPUTS)).astype(np.float32)

    def sizes(self) -> Mapping[str, int]:
        return {"train": len(self._rows), "val": 1, "test": 1}

    def rows(self, split: str, start: int, stop: int) -> Given:
        rows = self._rows[start:stop]
        return {"row": rows, "first": rows[:, 0].copy(), "second": rows[:, 1].copy()}


def milliseconds_a_batch(epoch: Callable[[], int], epochs: int) -> float:
    epoch()
    times = []
    for _ in range(epochs):
        began = time.process_time()
        batches = epoch()
        times.append(1000 * (time.process_time() - began) / batches)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("build/table_loading"))
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = options.directory / f"rows-{options.rows}"
    if not store.exists():
        prepare(Choice(name=f"{Path(__file__).stem}:Noise", options={"rows": options.rows}), store)
    one = torch.randn(options.rows, INPUTS + 2)

    def indexing() -> int:
        pieces = torch.randperm(options.rows).split(options.batch_size)
        for rows in pieces:
            one[rows]
        return len(pieces)

    def reading(resident_bytes: int) -> Callable[[], int]:
        split = open_prepared(store, resident_bytes).splits["train"]
        return lambda: sum(
            1 for _ in split.batches(torch.randperm(len(split)), options.batch_size, torch.device("cpu"))
        )

    floor = milliseconds_a_batch(indexing, options.epochs)
    print(f"tensor[rows]: {floor:.3f} ms a batch of {options.batch_size}")
    for name, resident_bytes in (("mapped", 0), ("resident", 2**40)):
        found = milliseconds_a_batch(reading(resident_bytes), options.epochs)
        print(f"{name}: {found:.3f} ms, {floor / found:.2f} times as fast as indexing")


if __name__ == "__main__":
    main()
