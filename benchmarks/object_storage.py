"""How long a ledger in an object store takes to write and to read, through the product's own path.

    python benchmarks/object_storage.py write --root s3://BUCKET/FOLDER --trials 10000
    python benchmarks/object_storage.py read --root s3://BUCKET/FOLDER

Keys and address of the store come from the environment, as in a sweep. `write` times one driver's thread, which
finishes one trial after another, for `--one-by-one` trials; the rest is written by many threads, and is set-up.
`read` is what a stage does at its start, and what `mtlsweep status` does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product

import numpy as np

from mtlsweep.addresses import StoreUri
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.lease import hold_lease
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.metric_names import MetricName
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

SUITE = "objects"


def trials(count: int, epochs: int) -> Iterator[FinishedTrial]:
    """Yield trials of two tasks whose curves are noise."""
    generator = np.random.default_rng(0)
    names = [str(MetricName(*name)) for name in product(("val", "test"), ("a", "b"), ("loss", "f1"))]
    for number in range(count):
        cell = Cell(
            suite=SUITE,
            role="mtl",
            tasks=("a", "b"),
            network=Choice(name="lenet"),
            weighting=Choice(name="ew"),
            optimizer=Choice(name="adam"),
            learning_rate=1e-3 * (1 + number),
            training=Training(epochs=epochs, batch_size=32),
            data_fingerprint="f" * 64,
            weighting_label="ew",
            optimizer_label="adam",
        )
        curve = tuple(
            EpochRecord(epoch + 1, dict(zip(names, row.tolist(), strict=True)), 1.7e9 + epoch, 0.01)
            for epoch, row in enumerate(generator.random((epochs, len(names))))
        )
        yield FinishedTrial(Trial(cell, 0), Finished(Outcome.DONE, curve), Execution(1.7e9, 1.7e9, 0.3, "host", 1, {}))


def write(ledger: Ledger, count: int, one_by_one: int, epochs: int) -> list[float]:
    """Write results; return the seconds of each of the first `one_by_one`, started and finished one after another."""
    ledger.prepare()
    every = trials(count, epochs)
    seconds = []
    with hold_lease(ledger, SUITE):
        for one in islice(every, one_by_one):
            began = time.perf_counter()
            ledger.start(one.trial)
            ledger.finish(one)
            seconds.append(time.perf_counter() - began)
    with ThreadPoolExecutor(32) as pool:
        for _ in pool.map(ledger.finish, every):
            pass
    return seconds


def read(ledger: Ledger) -> None:
    began = time.perf_counter()
    keys = ledger.finished_keys()
    listed = time.perf_counter()
    records = sum(1 for _ in ledger.read_all())
    whole = time.perf_counter()
    ends = sum(1 for _ in ledger.read_ends(sorted(keys)))
    print(
        f"{records} results: listed in {listed - began:.1f} s, listed and read in {whole - listed:.1f} s, "
        f"{ends} ends of trials in {time.perf_counter() - whole:.1f} s; {ledger.disk_bytes() / 1e6:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("write", "read"))
    parser.add_argument("--root", type=StoreUri.parse, required=True)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--one-by-one", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    ledger = Ledger(arguments.root, SUITE)
    if arguments.step == "read":
        read(ledger)
        return
    seconds = write(ledger, arguments.trials, arguments.one_by_one, arguments.epochs)
    print(f"started and finished one after another: {len(seconds) / sum(seconds):.0f} trials/s")


if __name__ == "__main__":
    main()
