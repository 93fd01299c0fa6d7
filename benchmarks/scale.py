"""How many trials one driver can handle: no-op trials through the real recorder, ledger, MLflow and tables.

    python benchmarks/scale.py record --trials 2000      # as in a sweep: ledger, and MLflow by the recorder's thread
    python benchmarks/scale.py fill --trials 10000       # the same records, but inserted into MLflow's tables in bulk
    python benchmarks/scale.py table                     # of what one of these left: its records, and the table of curves
    python benchmarks/scale.py plan                      # `mtlsweep plan` of a study of 50 methods that has not begun
    python benchmarks/scale.py status                    # `mtlsweep status` of a study whose trials are all finished
    python benchmarks/scale.py watch --trials 20000      # the live view of such a study: its first page, and the whole one
    python benchmarks/scale.py front                     # the Pareto front of 100,000 runs

Each step is a process of its own, so that its memory is its own. A trial brings `--epochs` epochs of 10
metrics for each of `--tasks` tasks. MLflow is a SQLite file in `--directory`, or what `--uri` names. No
Ray and no training: this measures our own overhead in a sweep. `fill` is set-up and measures nothing:
through MLflow's client 32 million rows would take two hours.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import sqlalchemy as sa
import yaml

from mtlsweep import paths
from mtlsweep.analysis.fronts.pareto_set import nondominated
from mtlsweep.analysis.objectives import Objective
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params, load_params
from mtlsweep.params.suite import STAGES, Training
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.record.tables.curves import write_curves
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.metric_names import MetricName
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

SUITE = "scale"
EVALUATED = ("loss", "accuracy", "balanced_accuracy", "f1")
METRICS = [
    ("train", "loss"),
    ("train", "weight"),
    *((split, metric) for split in ("val", "test") for metric in EVALUATED),
]


def trials(count: int, tasks: int, epochs: int) -> Iterator[FinishedTrial]:
    """Yield trials whose curves are noise."""
    generator = np.random.default_rng(0)
    for number in range(count):
        cell = Cell(
            suite=SUITE,
            role="mtl",
            tasks=tuple(f"task{task}" for task in range(tasks)),
            network=Choice(name="lenet"),
            weighting=Choice(name="ew"),
            optimizer=Choice(name="adam"),
            learning_rate=1e-3 * (1 + number // 3),
            training=Training(epochs=epochs, batch_size=32),
            data_fingerprint="f" * 64,
            weighting_label="ew",
            optimizer_label="adam",
        )
        yield finished(Trial(cell, number % 3), number, generator)


def finished(
    trial: Trial, number: int, generator: np.random.Generator, further: Iterable[Objective] = ()
) -> FinishedTrial:
    """Return a trial with a curve of noise; `number` tells its times from those of others, `further` are measured too."""
    names = [str(MetricName(split, task, metric)) for task in trial.cell.tasks for split, metric in METRICS]
    own = [one for one in further if one.task in trial.cell.tasks]
    names = list(dict.fromkeys([*names, *(str(one.of(split)) for one in own for split in ("val", "test"))]))
    values = generator.random((trial.cell.training.epochs, len(names)))
    curve = tuple(
        EpochRecord(epoch + 1, dict(zip(names, row.tolist(), strict=True)), 1.7e9 + number + epoch / 100, 0.01)
        for epoch, row in enumerate(values)
    )
    return FinishedTrial(trial, Finished(Outcome.DONE, curve), Execution(1.7e9, 1.7e9 + 1, 0.3, "host", 1, {}))


def record(arguments: argparse.Namespace) -> tuple[float, float]:
    """Write trials as a sweep does; return how many the ledger takes in a second, and how many MLflow."""
    ledger = Ledger(arguments.directory, SUITE)
    tracker = Tracker(arguments.uri, SUITE, ledger.id)
    recorder = Recorder(ledger, tracker, {"sweep_id": SUITE})
    began = time.perf_counter()
    print("trials   seconds  MB of the driver")
    for number, one in enumerate(trials(arguments.trials, arguments.tasks, arguments.epochs), start=1):
        ledger.start(one.trial)
        ledger.finish(one)
        recorder.finish(one)
        if number % max(1, arguments.trials // 10) == 0:
            resident = psutil.Process().memory_info().rss / 1e6
            print(f"{number:6d}  {time.perf_counter() - began:8.1f}  {resident:8.0f}", flush=True)
    in_ledger = time.perf_counter() - began
    recorder.close()
    in_mlflow = time.perf_counter() - began
    rows = arguments.trials * arguments.epochs * arguments.tasks * len(METRICS)
    print(f"ledger: {arguments.trials / in_ledger:.0f} trials/s")
    print(f"MLflow: {arguments.trials / in_mlflow:.0f} trials/s, {rows / in_mlflow:.0f} rows/s")
    return arguments.trials / in_ledger, arguments.trials / in_mlflow


def fill(arguments: argparse.Namespace) -> None:
    """Let the tracker write one run, and insert all others as copies of it with values and names of their own."""
    ledger = Ledger(arguments.directory, SUITE)
    tracker = Tracker(arguments.uri, SUITE, ledger.id)
    every = trials(arguments.trials, arguments.tasks, arguments.epochs)
    first = next(every)
    ledger.finish(first)
    tracker.finish(first, {"sweep_id": SUITE})
    engine = sa.create_engine(arguments.uri)
    known = sa.MetaData()
    known.reflect(engine, only=["runs", "tags", "params", "metrics", "latest_metrics"])
    tables = known.tables
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA cache_size = -2000000")
        original = connection.execute(
            sa.select(tables["tags"].c.run_uuid).where(tables["tags"].c.key == "trial_key")
        ).scalar_one()
        copied = {
            name: connection.execute(sa.select(table).where(table.c.run_uuid == original)).mappings().all()
            for name, table in tables.items()
            if name in ("runs", "tags", "params", "latest_metrics")
        }
        for number, one in enumerate(every, start=2):
            ledger.finish(one)
            run_id = uuid.uuid4().hex
            for name in ("runs", "tags", "params", "latest_metrics"):
                rows = [{**row, "run_uuid": run_id} for row in copied[name]]
                for row in rows:
                    if name == "tags" and row["key"] == "trial_key":
                        row["value"] = one.trial.key
                connection.execute(sa.insert(tables[name]), rows)
            connection.execute(sa.insert(tables["metrics"]), list(_metric_rows(one, run_id)))
            if number % max(1, arguments.trials // 20) == 0:
                print(f"{number} trials", flush=True)


def _metric_rows(trial: FinishedTrial, run_id: str) -> Iterator[dict[str, object]]:
    for one in trial.state.curve:
        place = {"run_uuid": run_id, "step": one.epoch, "timestamp": int(one.finished_at * 1000), "is_nan": False}
        for name, value in one.metrics.items():
            yield {**place, "key": name, "value": value}


def table(arguments: argparse.Namespace) -> None:
    path = arguments.directory / "curves.parquet"
    ledger = Ledger(arguments.directory, SUITE)
    before, read = peak_megabytes(), Stopwatch()
    records = list(ledger.read_all())  # as a stage holds them
    print(f"{len(records)} records read in {read}; they take {peak_megabytes() - before:.0f} MB", flush=True)
    opened = Stopwatch()
    tracker = Tracker(arguments.uri, SUITE, ledger.id)
    print(f"the runs in MLflow found in {opened}", flush=True)
    built = Stopwatch()
    write_curves(path, tracker, ledger, [one.trial.key for one in records])
    print(
        f"table of {pq.read_metadata(path).num_rows} rows built and checked in {built}; peak memory {peak_megabytes():.0f} MB"
    )


def open_study(directory: Path, epochs: int, sweep: Mapping[str, object]) -> Params:
    """Make a study with prepared data, and work in its directory."""
    from mtlsweep.suites.prepared import prepare  # imports torch, whose 200 MB are no part of the other steps

    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)
    suite = {
        "data": {"dataset": {"multidigits": {"train": 64, "val": 32, "test": 32}}},
        "network": "lenet",
        "training": {"epochs": epochs, "batch_size": 16},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": dict(sweep),
    }
    Path("params.yaml").write_text(yaml.safe_dump({"active": [SUITE], "suites": {SUITE: suite}}))
    params = load_params()
    prepare(params.suite(SUITE).data.dataset, paths.prepared(SUITE))
    return params


def time_command(name: str) -> list[float]:
    """Time a command of `mtlsweep` from its start to its end, three times; return the seconds of CPU."""
    seconds = []
    for _ in range(3):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-m", "mtlsweep.cli.main", name], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"in {time.perf_counter() - began:.2f} s (CPU {cpu:.2f} s)", flush=True)
        seconds.append(cpu)
    return seconds


def plan(arguments: argparse.Namespace) -> None:
    """Make a study of 50 methods, of whose trials none is finished, and time the command."""
    sweep = {
        "strategy": "grid",
        "weightings": ["ew", "uw", "rlw", "dwa", "pcgrad", "cagrad", "mgda", "imtl", "nash_mtl", "fairgrad"],
        "optimizers": ["adam", "adamw", "sgd", "signsgd", "rmsprop"],
        "learning_rates": [(1 + rate) * 1e-4 for rate in range(20)],
        "seeds": list(range(-(-arguments.trials // 1000))),
    }
    open_study(arguments.directory / "plan", arguments.epochs, sweep)
    time_command("plan")


def finished_study(arguments: argparse.Namespace) -> None:
    """Make a study whose baselines and grid are finished, and work in its directory."""
    from mtlsweep.sweep.plan.plan import open_plan
    from mtlsweep.sweep.plan.planned_keys import write_plans

    sweep = {
        "strategy": "grid",
        "weightings": ["ew"],
        "optimizers": ["adam"],
        "learning_rates": [(1 + rate) * 1e-4 for rate in range(100)],
        "seeds": list(range(-(-arguments.trials // 100))),
    }
    params = open_study(arguments.directory / "study", arguments.epochs, sweep)
    write_plans(dict.fromkeys(STAGES, params), SUITE)
    generator = np.random.default_rng(0)
    for stage in STAGES:
        opened = open_plan(params, SUITE, stage)
        objectives = [Objective(**definition) for definition in opened.metrics]
        for number, trial in enumerate(opened.trials):
            opened.ledger.finish(finished(trial, number, generator, objectives))


def status(arguments: argparse.Namespace) -> list[float]:
    """Make a study whose grid is finished, and time the command; return the seconds of CPU."""
    finished_study(arguments)
    return time_command("status")


def watch(arguments: argparse.Namespace) -> list[tuple[float, float]]:
    """Make such a study, and time its live view three times from the command's start.

    Returns: the seconds until the first page and until that of all trials.
    """
    finished_study(arguments)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        command = [sys.executable, "-m", "mtlsweep.cli.main", "watch", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            address = process.stdout.readline().split()[2]
            page, answered = "", list[float]()
            while "data-complete" not in page:
                with urllib.request.urlopen(address) as answer:
                    page = answer.read().decode()
                answered.append(time.perf_counter() - began)
                time.sleep(0.1)
            process.terminate()
        first, seconds = answered[0], answered[-1]
        times.append((first, seconds))
        print(f"first page after {first:.2f} s, all trials after {seconds:.2f} s, {len(page) / 1e3:.0f} kB", flush=True)
    return times


def front(arguments: argparse.Namespace) -> float:
    """Find the Pareto front of 100,000 runs; return the seconds it took."""
    watch, began = Stopwatch(), time.perf_counter()
    members = nondominated(np.random.default_rng(0).normal(size=(100_000, 9)))
    print(f"front of 100,000 runs x 9 metrics ({members.sum()} on it) in {watch}")
    return time.perf_counter() - began


class Stopwatch:
    """Wall-clock and CPU time of this process since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self._wall:.1f} s (CPU {time.process_time() - self._cpu:.1f} s)"


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


STEPS: dict[str, Callable[[argparse.Namespace], object]] = {
    "record": record,
    "fill": fill,
    "table": table,
    "plan": plan,
    "status": status,
    "watch": watch,
    "front": front,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--tasks", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--directory", type=Path, default=Path("build/scale"))
    parser.add_argument("--uri", help="MLflow's database or server, which must be empty before `record` and `fill`")
    arguments = parser.parse_args()
    arguments.uri = arguments.uri or f"sqlite:///{arguments.directory}/mlflow.db"
    if arguments.step in ("record", "fill"):
        shutil.rmtree(arguments.directory, ignore_errors=True)
    STEPS[arguments.step](arguments)


if __name__ == "__main__":
    main()
