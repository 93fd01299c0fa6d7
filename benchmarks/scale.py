"""How many trials one driver can handle: no-op trials through the real recorder, ledger and tables.

    python benchmarks/scale.py --trials 10000 --directory build/scale

Every trial brings 30 epochs of 10 metrics. They go to the ledger and, by the recorder's thread, to
MLflow (SQLite), as in a sweep; then the tables are built from MLflow, checked against the ledger, and
100,000 rows are analysed. No Ray and no training: this measures our own overhead in a sweep.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from mtlsweep.analysis.fronts.pareto_set import nondominated
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.record.tables import curves as tables
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.metric_names import LOSS, MetricName
from mtlsweep.trials.state import EpochRecord, Execution, Finished, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

EPOCHS, TASKS = 30, ("a", "b", "c", "d", "e")


def trials(count: int) -> Iterator[FinishedTrial]:
    """Yield trials whose curves are noise: 5 tasks x (validation, test) are the 10 metrics."""
    generator = np.random.default_rng(0)
    for number in range(count):
        cell = Cell(
            suite="scale",
            role="mtl",
            tasks=TASKS,
            network=Choice(name="lenet"),
            weighting=Choice(name="ew"),
            optimizer=Choice(name="adam"),
            learning_rate=1e-3 * (1 + number // 3),
            training=Training(epochs=EPOCHS, batch_size=32),
            data_fingerprint="f" * 64,
            weighting_label="ew",
            optimizer_label="adam",
        )
        values = generator.random((EPOCHS, 2 * len(TASKS)))
        names = [str(MetricName(split, task, LOSS)) for split in ("val", "test") for task in TASKS]
        curve = tuple(
            EpochRecord(epoch + 1, dict(zip(names, row.tolist(), strict=True)), 1.7e9 + number + epoch / 100, 0.01)
            for epoch, row in enumerate(values)
        )
        yield FinishedTrial(
            Trial(cell, number % 3), Finished(Outcome.DONE, curve), Execution(1.7e9, 1.7e9 + 1, 0.3, "host", 1, {})
        )


def megabytes() -> float:
    return psutil.Process().memory_info().rss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--directory", type=Path, default=Path("build/scale"))
    arguments = parser.parse_args()
    shutil.rmtree(arguments.directory, ignore_errors=True)
    ledger = Ledger(arguments.directory, "scale")
    tracker = Tracker(f"sqlite:///{arguments.directory}/mlflow.db", "scale")
    recorder = Recorder(ledger, tracker, {"sweep_id": "scale"})
    began = time.perf_counter()
    print("trials   seconds  MB of the driver")
    for number, finished in enumerate(trials(arguments.trials), start=1):
        ledger.start(finished.trial)
        ledger.finish(finished)
        recorder.finish(finished)
        if number % max(1, arguments.trials // 10) == 0:
            print(f"{number:6d}  {time.perf_counter() - began:8.1f}  {megabytes():8.0f}", flush=True)
    in_ledger = time.perf_counter() - began
    recorder.close()
    in_mlflow = time.perf_counter() - began
    rows = arguments.trials * EPOCHS * 2 * len(TASKS)
    print(f"ledger: {arguments.trials / in_ledger:.0f} trials/s")
    print(
        f"MLflow: {arguments.trials / in_mlflow:.0f} trials/s, {rows / in_mlflow:.0f} metric rows/s; driver {megabytes():.0f} MB"
    )
    began = time.perf_counter()
    known = list(ledger.read_all())
    print(f"ledger read whole in {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    curves = tables.build_curves(tracker, known)
    print(f"table of {len(curves)} rows built from MLflow and checked in {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    members = nondominated(np.random.default_rng(0).normal(size=(100_000, 9)))
    print(f"front of 100,000 runs x 9 metrics ({members.sum()} on it) in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
