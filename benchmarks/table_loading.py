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


def milliseconds_a_batch(epoch: Callable[[], int], epochs: int) -> list[float]:
    epoch()
    times = []
    for _ in range(epochs):
        began = time.process_time()
        batches = epoch()
        times.append(1000 * (time.process_time() - began) / batches)
    return times


def measure(directory: Path, rows: int, batch_size: int, epochs: int) -> dict[str, list[float]]:
    """Return CPU milliseconds a batch of each epoch: `tensor[rows]`, `mapped`, `resident`."""
    store = directory / f"rows-{rows}"
    if not store.exists():
        prepare(
            Choice(name=f"{__name__ if __name__ != '__main__' else Path(__file__).stem}:Noise", options={"rows": rows}),
            store,
        )
    one = torch.randn(rows, INPUTS + 2)

    def indexing() -> int:
        pieces = torch.randperm(rows).split(batch_size)
        for places in pieces:
            one[places]
        return len(pieces)

    def reading(resident_bytes: int) -> Callable[[], int]:
        split = open_prepared(store, resident_bytes).splits["train"]
        return lambda: sum(1 for _ in split.batches(torch.randperm(len(split)), batch_size, torch.device("cpu")))

    epochs_of = {"tensor[rows]": indexing, "mapped": reading(0), "resident": reading(2**40)}
    return {name: milliseconds_a_batch(epoch, epochs) for name, epoch in epochs_of.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("build/table_loading"))
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options.directory, options.rows, options.batch_size, options.epochs)
    medians = {name: statistics.median(times) for name, times in found.items()}
    floor = medians.pop("tensor[rows]")
    print(f"tensor[rows]: {floor:.3f} ms a batch of {options.batch_size}")
    for name, milliseconds in medians.items():
        print(f"{name}: {milliseconds:.3f} ms, {floor / milliseconds:.2f} times as fast as indexing")


if __name__ == "__main__":
    main()
