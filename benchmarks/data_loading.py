"""Batches per second and private memory of readers: the prepared store against a DataLoader over MTAN's .npy files.

    python benchmarks/data_loading.py --directory build/data_loading

Writes noise as NYUv2 in MTAN's layout (288x384; images, labels and depth in float64, normals in
float32: 52 bytes a pixel, which for 1449 frames makes the 8 GB of MTAN's archive), prepares it, and lets 1 and
4 processes at a time read shuffled batches of 8 with either loader, opened once. Everything is in the page cache.
Private memory is the most that a reader holds, during an epoch, beyond its memory after all imports; the
DataLoader reads in the reader's own process.
On a busy machine trust the CPU time more than the throughput.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mtlsweep.environment import usable_cpus
from mtlsweep.params.choice import Choice
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.suites.tasks import TASKS

SIZE = (288, 384)
BATCH_SIZE = 8
SECONDS = 10
FORMAT = {"image": ("float64", 3), "label": ("float64", None), "depth": ("float64", 1), "normal": ("float32", 3)}
STORED_BYTES_PER_PIXEL = 3 + 1 + 4 + 6


@dataclass(frozen=True)
class Measurement:
    batches_per_second: float
    cpu_milliseconds_per_batch: float
    private_megabytes: float
    open_milliseconds: float


class MTANFiles(Dataset[tuple[Tensor, ...]]):
    """One item per numbered file, as in MTAN's own code."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._count = len(list((root / "image").glob("*.npy")))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        arrays = (np.load(self._root / folder / f"{index}.npy") for folder in FORMAT)
        return tuple(
            torch.from_numpy(np.moveaxis(array, -1, 0) if array.ndim == 3 else array).float() for array in arrays
        )


def epochs_of_files(root: Path) -> Iterator[Iterable[object]]:
    loader = DataLoader(MTANFiles(root / "train"), batch_size=BATCH_SIZE, shuffle=True)
    while True:
        yield loader


def epochs_of_store(root: Path) -> Iterator[Iterable[object]]:
    split = open_prepared(root, resident_bytes=0).splits["train"]
    while True:
        yield split.batches(torch.randperm(len(split)), BATCH_SIZE, torch.device("cpu"))


def write_files(root: Path, rows: int) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", rows), ("val", 2)):
        for number in range(count):
            for folder, (dtype, channels) in FORMAT.items():
                shape = SIZE if channels is None else (*SIZE, channels)
                array = generator.random(shape, np.float32) if folder != "label" else generator.integers(-1, 13, shape)
                path = root / split / folder / f"{number}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, array.astype(dtype))


def private_bytes() -> int:
    """Return what this process alone holds: anonymous memory. Pages of mapped files are the page cache's."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def read(
    make: Callable[[Path], Iterator[Iterable[object]]],
    root: Path,
    start: object,
    results: multiprocessing.Queue[Measurement],
) -> None:
    """Read one epoch to warm up and to measure memory, then for some seconds together with the other readers."""
    torch.set_num_threads(1)
    TASKS.names()  # imports what training needs anyway
    before, opened = private_bytes(), time.perf_counter()
    epochs, open_seconds, private = make(root), 0.0, 0
    for number, _ in enumerate(next(epochs)):
        open_seconds = open_seconds or time.perf_counter() - opened
        if number % 8 == 7:
            private = max(private, private_bytes() - before)
    start.wait()  # type: ignore[attr-defined]
    began, cpu_began, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < SECONDS:
        for _ in next(epochs):
            count += 1
            if time.perf_counter() - began > SECONDS:
                break
    seconds = time.perf_counter() - began
    cpu_milliseconds = 1000 * (time.process_time() - cpu_began) / count
    results.put(Measurement(count / seconds, cpu_milliseconds, private / 2**20, 1000 * open_seconds))


def measure(make: Callable[[Path], Iterator[Iterable[object]]], root: Path, readers: int) -> list[Measurement]:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(readers), context.Queue()
    processes = [context.Process(target=read, args=(make, root, start, results)) for _ in range(readers)]
    for process in processes:
        process.start()
    measurements = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return measurements


def make_stores(directory: Path, gigabytes: float) -> tuple[Path, Path]:
    """Write files and store, unless they are there; return their places."""
    files, store = directory / "files", directory / "store"
    if not store.exists():
        write_files(files, round(gigabytes * 2**30 / (STORED_BYTES_PER_PIXEL * SIZE[0] * SIZE[1]) / 0.8))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepare(Choice(name="nyuv2_mtan", options={"root": str(files)}), store)
    return files, store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("build/data_loading"), help="needs 5 times --gigabytes")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the prepared training split")
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    files, store = make_stores(options.directory, options.gigabytes)
    print(
        f"store {(store / 'train.arrow').stat().st_size / 2**30:.2f} GiB, {usable_cpus()} CPUs, batches of {BATCH_SIZE}"
    )
    found: dict[str, dict[int, list[Measurement]]] = {"store": {}, "files": {}}
    for name, make, root in (("store", epochs_of_store, store), ("files", epochs_of_files, files)):
        for readers in options.readers:
            found[name][readers] = measure(make, root, readers)
            print(f"{name}: {readers} readers, {describe(found[name][readers])}", flush=True)
    for readers in options.readers:
        ours, theirs = found["store"][readers], found["files"][readers]
        print(
            f"store against files, {readers} readers: {total_rate(ours) / total_rate(theirs):.1f} times the throughput, "
            f"{mean_cpu(theirs) / mean_cpu(ours):.1f} times less CPU time a batch"
        )


def total_rate(measurements: list[Measurement]) -> float:
    return sum(measurement.batches_per_second for measurement in measurements)


def mean_cpu(measurements: list[Measurement]) -> float:
    return sum(measurement.cpu_milliseconds_per_batch for measurement in measurements) / len(measurements)


def describe(measurements: list[Measurement]) -> str:
    return (
        f"{total_rate(measurements):.1f} batches/s in all, {mean_cpu(measurements):.1f} ms of CPU a batch, "
        f"private {max(measurement.private_megabytes for measurement in measurements):.0f} MB a reader, "
        f"first batch after {max(measurement.open_milliseconds for measurement in measurements):.0f} ms"
    )


if __name__ == "__main__":
    main()
