"""What driver, MLflow and stores carry: times of the product's own code, and a model of them for larger clusters.

    python -m benchmarks.scaling                        # everything but Ray: about four minutes
    python -m benchmarks.scaling driver ledger          # parts of it
    python -m benchmarks.scaling ray                    # CPU time of a driver with Ray Tune: real trials, two minutes

Nothing is trained, except by `ray`. `driver` makes a stage with its plan, strategy, ledger, kept weights and Optuna study as a sweep
does, and plays the executor: in each turn the oldest of some running trials reports its epochs and ends, and another starts. The size of
a stage, its methods and the number of running trials vary, and a linear model without negative constants is fitted
to the times. `study` is the Optuna study alone, with cells that earlier runs finished. `mlflow` writes runs to a SQLite file and to a
server on loopback, with few and many epochs. `objects` counts the requests of a trial to an object store: their number is
what counts, as each waits for a network.

The last table says which share of its time each part is busy in a scenario; above 100 % it falls behind.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import requests
import yaml
from scipy.optimize import nnls

from benchmarks.scale import finished, open_study, trials
from benchmarks.sweep_efficiency import make_params
from mtlsweep import paths
from mtlsweep.analysis.objectives import Objective
from mtlsweep.params.params import parse_params
from mtlsweep.params.resources import Budget, Resources
from mtlsweep.record.kept_weights import KeptWeights
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.sweep.driver import Driver
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints
from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.sweep.lease import hold_lease
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.sweep.plan.stage_inputs import StageContext
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.search.objective_values import Targets
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.stage import run_stage
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.trials.state import FinishedTrial, State
from mtlsweep.trials.trial import Trial
from tests.object_server import KEYS, make_bucket, object_server
from tests.servers import MlflowServer

SUITE = "scale"
EPOCHS, SEEDS = 30, 3
WEIGHTINGS = ["ew", "uw", "rlw", "dwa", "pcgrad", "cagrad", "mgda", "imtl", "nash_mtl", "fairgrad"]
OPTIMIZERS = ["adam", "adamw", "sgd", "signsgd", "rmsprop"]
STAGES = [
    (1, 100, 8),
    (1, 1000, 8),
    (1, 10_000, 8),
    (10, 1000, 8),
    (10, 10_000, 8),
    (50, 10_000, 8),
    (50, 10_000, 500),
    (50, 10_000, 2000),
]
"""Methods, trials and running trials of a stage."""
SCENARIOS = [(100, 1.0), (1000, 1.0), (10_000, 1.0), (1000, 1 / 6), (10_000, 1 / 6)]
"""GPUs with a trial each, and hours of a trial."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """Seconds = the sum of each constant times its quantity; `1` is the quantity that is always one."""

    constants: Mapping[str, float]

    def __str__(self) -> str:
        return " + ".join(
            f"{value:.3g}" if name == "1" else f"{value:.3g} x {name}" for name, value in self.constants.items()
        )

    def seconds(self, **quantities: float) -> float:
        return sum(value * {"1": 1.0, **quantities}[name] for name, value in self.constants.items())


def fit(rows: Sequence[Row], measured: str, quantities: Sequence[str]) -> Model:
    """Fit a model without negative constants; relative errors count, so that small stages are fitted as well as large ones."""
    design = np.array([[row.get(name, 1.0) for name in ("1", *quantities)] for row in rows], float)
    times = np.array([row[measured] for row in rows], float)
    scales = design.max(axis=0)
    constants, _ = nnls(design / scales / times[:, None], np.ones(len(rows)))
    return Model(dict(zip(("1", *quantities), (constants / scales).tolist(), strict=True)))


class Turnover(Executor):
    """Plays the hosts: keeps `running` trials, and `turns` times lets the oldest end and another start; times the driver."""

    def __init__(self, running: int, turns: int, objectives: Iterable[Objective]) -> None:
        self.slots = running
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._turns = turns
        self._objectives = tuple(objectives)

    def run(self, work: Work) -> None:
        generator = np.random.default_rng(0)
        running = [self._start(work, "fill") for _ in range(self.slots)]
        for turn in range(self._turns):
            assignment = running.pop(0)
            state: State = finished(assignment.trial, turn, generator, self._objectives).state
            for record in state.curve:
                self._timed("epoch", lambda: work.epochs(assignment, [record]))  # noqa: B023  (called at once)
            self._timed("end", lambda: work.ended(assignment, state, "host", 1))  # noqa: B023
            running.append(self._start(work, "start"))

    def _start(self, work: Work, name: str) -> Any:
        began = time.perf_counter()
        assignment = work.next()
        assert assignment is not None, work.stopping()
        work.started(assignment)
        self.seconds[name].append(time.perf_counter() - began)
        return assignment

    def _timed(self, name: str, call: Callable[[], None]) -> None:
        began = time.perf_counter()
        call()
        self.seconds[name].append(time.perf_counter() - began)


def stage_of(methods: int, count: int, directory: Path) -> StageContext:
    """Return a stage of a grid with about `count` trials, as `run_stage` opens it; baselines are all 1."""
    weightings = WEIGHTINGS[: min(methods, len(WEIGHTINGS))]
    optimizers = OPTIMIZERS[: methods // len(weightings)]
    rates = np.geomspace(1e-5, 1e-1, max(1, count // (SEEDS * methods))).tolist()
    sweep = {
        "strategy": "grid",
        "weightings": weightings,
        "optimizers": optimizers,
        "learning_rates": rates,
        "seeds": list(range(SEEDS)),
    }
    params = open_study(directory, EPOCHS, sweep)
    plan = open_plan(params, SUITE, "sweep")
    objectives = tuple(Objective(**definition) for definition in plan.metrics)
    values = {split: dict.fromkeys((one.name for one in objectives), 1.0) for split in ("val", "test")}
    return StageContext(SUITE, "sweep", open_prepared(paths.prepared(SUITE)), plan, Reference(objectives, values))


def drive(context: StageContext, ledger: Ledger, running: int, turns: int) -> dict[str, list[float]]:
    """Let a driver with all that a sweep gives it, except MLflow, end `turns` trials; return the seconds of its calls."""
    reference, strategy = context.reference, context.make_strategy({})
    progress = Progress("scaling", strategy.total(), strategy.epochs_left())
    weights = KeptWeights(ledger, "leading", reference.score, ())
    study = _study(context, ())
    with Turnover(running, turns, reference.objectives) as executor, StopRequest(Budget(), progress.clock) as stop:
        executor.run(
            Driver(ledger, strategy, stop, progress, reference, {}, study, (weights,), cells=context.plan.cells)
        )
    return executor.seconds


def _study(context: StageContext, known: Iterable[FinishedTrial]) -> CellStudy:
    return CellStudy(
        Path("optuna.journal"),
        context.plan.space,
        len(context.plan.seeds),
        Targets(context.reference),
        None,
        known,
    )


def driver(directory: Path) -> dict[str, Model]:
    rows = []
    for methods, count, running in STAGES:
        context = stage_of(methods, count, directory / f"driver-{methods}-{count}-{running}")
        seconds = drive(context, context.ledger, running, turns=8 * SEEDS)
        of_a_method = len(context.plan.trials) / methods
        row = {"methods": methods, "trials": len(context.plan.trials), "of_a_method": of_a_method, "running": running}
        of_cells = {
            name: np.reshape(seconds[name], (-1, SEEDS)).mean(axis=1) for name in ("start", "end")
        }  # one in SEEDS is dearer
        rows.append(
            row | {name: float(np.median(values)) for name, values in [*of_cells.items(), ("epoch", seconds["epoch"])]}
        )
    table(rows)
    return {
        "start": fit(rows, "start", ["running"]),
        "epoch": fit(rows, "epoch", []),
        "end": fit(rows, "end", ["of_a_method"]),
    }


def study(directory: Path) -> dict[str, Model]:
    """Time a cell of the Optuna study, when earlier runs have finished others."""
    context = stage_of(50, 10_000, directory / "study")
    generator = np.random.default_rng(0)
    cells = [[Trial(cell, seed) for seed in context.plan.seeds] for cell in context.plan.cells]
    done = [
        [finished(trial, place, generator, context.reference.objectives) for trial in replicates]
        for place, replicates in enumerate(cells[:2020])
    ]
    rows = []
    for known in (20, 200, 1000, 2000):
        began = time.perf_counter()
        opened = _study(context, (one for replicates in done[:known] for one in replicates))
        restored = time.perf_counter() - began
        seconds = []
        for replicates in done[known : known + 20]:
            began = time.perf_counter()
            opened.begin(replicates[0].trial.cell)
            for one in replicates:
                opened.tell(one)
            seconds.append(time.perf_counter() - began)
        rows.append({"cells": known, "open": restored, "cell": median(seconds)})
    table(rows)
    return {"study, opened": fit(rows, "open", ["cells"]), "study, a cell": fit(rows, "cell", ["cells"])}


def ledger(directory: Path) -> dict[str, Model]:
    rows = []
    for count in (300, 1000, 10_000):
        written = Ledger(directory / f"ledger-{count}", SUITE)
        every = trials(count, 1, EPOCHS)
        seconds = {"write": [timed(lambda: written.finish(one)) for one in every]}  # noqa: B023
        keys = sorted(written.finished_keys())
        seconds["read"] = [timed(lambda: list(written.read_all())) for _ in range(3)]  # noqa: B023
        seconds["status"] = [timed(lambda: list(written.read_ends(keys))) for _ in range(3)]  # noqa: B023
        row = {"trials": count, "bytes": written.disk_bytes() / count}
        rows.append(row | {name: median(values) for name, values in seconds.items()})
    table(rows)
    return {f"ledger, {name}": fit(rows, name, ["trials"]) for name in ("read", "status")}


def checkpoints(directory: Path) -> dict[str, Model]:
    """Time what the process on the driver's host does with a resume point, and as large weights, that a worker sends."""
    opened = Ledger(directory / "checkpoints", SUITE)
    opened.prepare()
    rows = []
    with hold_lease(opened, SUITE) as lease:
        store = LedgerCheckpoints(opened, lease.fence)
        store.load_resume("0" * 16, "worker")
        for megabytes in (0.5, 10.0, 100.0):
            half = os.urandom(round(megabytes * 1e6 / 2))
            seconds = [timed(lambda: store.save("0" * 16, "worker", half, half)) for _ in range(7)]  # noqa: B023
            rows.append({"megabytes": megabytes, "save": median(seconds)})
    table(rows)
    return {"checkpoint": fit(rows, "save", ["megabytes"])}


def mlflow(directory: Path) -> dict[str, Model]:
    models = {}
    for place, address in (("SQLite", _sqlite), ("server", _server)):
        rows = []
        with address(directory) as uri:
            for epochs in (5, 30, 120):
                rows.append(_write_runs(uri, directory / f"{place}-{epochs}", epochs))
            table([{"MLflow": place, **row} for row in rows])
            models[f"MLflow {place}, a run"] = fit(rows, "run", ["rows"])
            models[f"MLflow {place}, an epoch"] = fit(rows, "epoch", [])
    return models


def _write_runs(uri: str, directory: Path, epochs: int) -> Row:
    ledger = Ledger(directory, SUITE)
    tracker = Tracker(uri, f"{SUITE}-{epochs}", ledger.id)
    one_by_one, *whole = trials(13, 1, epochs)
    shown: list[float] = []
    with counted_requests() as count:
        for record in one_by_one.state.curve:
            shown.append(timed(lambda: tracker.log_epochs(one_by_one.trial, [record], 1.7e9)))  # noqa: B023
        requests_an_epoch = count() / epochs
    tracker.finish(whole[0], {})  # which also saves the experiment's views
    with counted_requests() as count:
        seconds = [timed(lambda: tracker.finish(one, {})) for one in whole[1:]]  # noqa: B023
        requests_a_run = count() / len(seconds)
    rows = sum(len(record.metrics) for record in one_by_one.state.curve)
    return {
        "rows": rows,
        "run": median(seconds),
        "epoch": median(shown),
        "requests a run": requests_a_run,
        "requests an epoch": requests_an_epoch,
    }


@contextmanager
def counted_requests() -> Iterator[Callable[[], int]]:
    """Count the HTTP requests of this process."""
    sent = 0
    send = requests.Session.send

    def counting(*arguments: Any, **options: Any) -> Any:
        nonlocal sent
        sent += 1
        return send(*arguments, **options)

    with patch.object(requests.Session, "send", counting):
        yield lambda: sent


@contextmanager
def _sqlite(directory: Path) -> Iterator[str]:
    yield f"sqlite:///{directory / 'mlflow.db'}"


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    server = MlflowServer(directory)
    server.start()
    try:
        yield server.uri
    finally:
        server.stop()


def objects(directory: Path) -> dict[str, Model]:
    """Count the requests of a trial without checkpoints, and of a checkpoint, to a real S3-compatible server (moto's)."""
    context = stage_of(1, 100, directory / "objects")
    log = directory / "objects.log"
    with (
        object_server(directory) as port,
        patch.dict(os.environ, KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}),
    ):
        store = Ledger(make_bucket(port), SUITE)
        store.prepare()

        def count() -> int:
            return log.read_bytes().count(b"HTTP/1.1")

        with hold_lease(store, SUITE):  # which sends a request every five seconds itself
            before = count()
            drive(context, store, running=1, turns=20)
            a_trial = (count() - before) / 20
            before = count()
            for _ in range(10):
                store.checkpoints.save_best("0" * 16, b"0" * 1000)
                store.checkpoints.save_resume("0" * 16, b"0" * 1000)
            a_checkpoint = (count() - before) / 10
    table([{"requests a trial": a_trial, "requests a checkpoint with weights": a_checkpoint}])
    return {"bucket, a trial": Model({"seconds_a_request": a_trial})}


def ray(directory: Path) -> dict[str, Model]:
    """CPU time of the driver's process in a sweep with Ray Tune on two slots: recording, MLflow and Tune together."""
    rows = []
    for count in (20, 60, 120):
        raw = make_params(count, epochs=1)
        raw["suites"]["digits"]["data"]["dataset"]["multidigits"]["train"] = 100  # type: ignore[index]
        place = directory / f"ray-{count}"
        place.mkdir()
        raw["resources"]["tracking_uri"] = f"sqlite:///{place / 'mlflow.db'}"  # type: ignore[index]
        with chdir(place):
            Path("params.yaml").write_text(yaml.safe_dump(raw))
            params = parse_params(raw)
            prepare(params.suite("digits").data.dataset, paths.prepared("digits"))
            run_stage(params, "digits", "baselines")
            before = time.process_time(), time.perf_counter()
            run_stage(params, "digits", "sweep")
            rows.append(
                {"trials": count, "cpu": time.process_time() - before[0], "wall": time.perf_counter() - before[1]}
            )
    table(rows)
    return {"driver's process with Ray, all trials": fit(rows, "cpu", ["trials"])}


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def table(rows: Sequence[Row]) -> None:
    """Print rows as a Markdown table; times in milliseconds have three digits."""
    names = list(rows[0])
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(shown(row[name]) for name in names)} |", flush=True)


def shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def busy(models: Mapping[str, Model], gpus: int, hours: float) -> Row:
    """Return which share of its time each part works while trials of `EPOCHS` epochs run on all GPUs."""
    ends = gpus / (3600 * hours)
    shares: dict[str, float] = {}
    if "end" in models:
        for trials_of_a_method in (100, 20_000):
            seconds = models["start"].seconds(running=gpus) + models["end"].seconds(of_a_method=trials_of_a_method)
            seconds += EPOCHS * models["epoch"].seconds()
            shares[f"driver, {trials_of_a_method} trials a method"] = ends * seconds
    if "checkpoint" in models:
        saved = gpus / Resources().checkpoint_seconds
        shares |= {f"checkpoints, {size} MB": saved * models["checkpoint"].seconds(megabytes=size) for size in (1, 100)}
    for name, model in models.items():
        if name.startswith("MLflow") and name.endswith("a run"):
            shares[name.removesuffix(", a run")] = ends * model.seconds(rows=10 * EPOCHS)
        if name.startswith("bucket"):
            shares["bucket, 20 ms a request"] = ends * model.seconds(seconds_a_request=0.02)
    row = {"GPUs": gpus, "trial": f"{60 * hours:.0f} min", "ends/s": ends, "epochs/s": EPOCHS * ends}
    return row | {name: f"{share:.1%}" for name, share in shares.items()}


PARTS: dict[str, Callable[[Path], dict[str, Model]]] = {
    "driver": driver,
    "study": study,
    "ledger": ledger,
    "checkpoints": checkpoints,
    "mlflow": mlflow,
    "objects": objects,
    "ray": ray,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    arguments = parser.parse_args()
    models: dict[str, Model] = {}
    home = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="scaling-") as directory:
        for name in arguments.parts or [name for name in PARTS if name != "ray"]:
            models |= PARTS[name](Path(directory))
            os.chdir(home)
    table([{"part": name, "seconds": str(model)} for name, model in models.items()])
    table([busy(models, gpus, hours) for gpus, hours in SCENARIOS])


if __name__ == "__main__":
    main()
