"""Every benchmark that has a peer or a floor beside it, and the others' figures, as one Markdown table: `make bench`.

    python -m benchmarks.all                 # 45 minutes on two cores
    python -m benchmarks.all --quick         # two minutes: small sizes, nothing is trained; to see whether something got slow
    python -m benchmarks.all --only step_cost scale

Nothing is measured here: each figure comes from a function of the benchmark that the table names. The median is over repetitions, and
the quartiles stand behind it. A peer is left out where it is not installed. `race`, `search` and `missing_labels` say what a
method finds and not how long something takes, need a grid of 40 minutes, and have tables of their own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from benchmarks import (
    data_loading,
    gpu,
    intervals,
    object_storage,
    referee,
    scale,
    scaling,
    step_cost,
    sweep_efficiency,
    table_loading,
)
from mtlsweep.record.ledger import Ledger
from tests.object_server import KEYS, make_bucket, object_server

TARGET = Path("build/benchmarks.md")
GRADIENT_METHODS = ["pcgrad", "cagrad", "mgda", "imtl_g", "upgrad", "nash_mtl"]


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, in which unit, and the values of ours and of those beside it."""

    what: str
    unit: str
    ours: Sequence[float]
    beside: Mapping[str, Sequence[float]] = field(default_factory=dict)


def of_step_cost(directory: Path, quick: bool) -> Iterator[Figure]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for problem in ["lenet3"] if quick else ["lenet3", "lenet9", "segnet_small"]:
        make, rounds = step_cost.PROBLEMS[problem]
        for name in GRADIENT_METHODS[:4] if quick else GRADIENT_METHODS:
            found = step_cost.measure(make, 10 if quick else rounds, name, list(step_cost.PEERS))
            peers = {peer: ratios for peer, ratios in found.ratios.items() if peer != "ours" and ratios}
            yield Figure(f"step of {name} on {problem}", "times the floor", found.ratios["ours"], peers)


def of_gpu(directory: Path, quick: bool) -> Iterator[Figure]:
    if not torch.cuda.is_available():
        return
    device = torch.device("cuda")
    for problem in ["lenet3"] if quick else ["lenet3", "segnet_small"]:
        for count in (1, 4):
            rates = {
                method: [gpu.steps_per_second(problem, method, device, 5.0, count) for _ in range(3)]
                for method in gpu.METHODS
            }
            yield Figure(
                f"{count} at a time on a GPU: steps of equal weights on {problem}", "1/s", rates.pop("ew"), rates
            )


def of_sweep_efficiency(directory: Path, quick: bool) -> Iterator[Figure]:
    if quick:  # a start of Ray for each contender
        return
    efficiency: dict[str, list[float]] = {}
    for number in range(3):
        for name, _, training, wall in sweep_efficiency.contenders(directory / f"sweep-{number}", 60, 5.0, 0.2):
            efficiency.setdefault(name, []).append(training / (sweep_efficiency.SLOTS * wall))
    yield Figure("trials of 5 s: share of a sweep that is training", "1", efficiency.pop("mtlsweep"), efficiency)


def of_scale(directory: Path, quick: bool) -> Iterator[Figure]:
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    rates = []
    for number in range(3):
        place = Namespace(directory=directory / f"record-{number}", uri=uri.replace("mlflow", f"{number}"))
        rates.append(scale.record(Namespace(**vars(place), trials=100 if quick else 1000, tasks=1, epochs=30)))
    ledger, mlflow = zip(*rates, strict=True)
    yield Figure("trials that the ledger takes", "1/s", ledger)
    yield Figure("trials that MLflow takes, SQLite", "1/s", mlflow)
    count = 1000 if quick else 10_000
    seconds = scale.status(Namespace(directory=directory / "status", trials=count, epochs=30))
    yield Figure(f"`mtlsweep status` of {count} trials", "s of CPU", seconds)
    count = 1000 if quick else 20_000
    first, whole = zip(*scale.watch(Namespace(directory=directory / "watch", trials=count, epochs=30)), strict=True)
    yield Figure(f"live view of {count} trials: first page", "s", first)
    yield Figure(f"live view of {count} trials: all of them", "s", whole)
    yield Figure("front of 100,000 runs", "s", [scale.front(Namespace()) for _ in range(5)])


def of_object_storage(directory: Path, quick: bool) -> Iterator[Figure]:
    """In moto's server, which is slower than a real one and near."""
    with (
        object_server(directory) as port,
        patch.dict(os.environ, KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}),
    ):
        count = 50 if quick else 500
        ledger = Ledger(make_bucket(port), object_storage.SUITE)
        seconds = object_storage.write(ledger, count, count, 30)
    yield Figure("a trial in an object store (moto)", "s", seconds)


def of_data_loading(directory: Path, quick: bool) -> Iterator[Figure]:
    files, store = data_loading.make_stores(directory / "loading", 0.05 if quick else 1.0)
    rates: dict[str, list[float]] = {"store": [], "files": []}
    for _ in range(1 if quick else 3):
        for name, make, root in (
            ("store", data_loading.epochs_of_store, store),
            ("files", data_loading.epochs_of_files, files),
        ):
            rates[name].append(data_loading.total_rate(data_loading.measure(make, root, 1)))
    yield Figure("batches of images", "1/s", rates["store"], {"DataLoader on .npy files": rates["files"]})


def of_table_loading(directory: Path, quick: bool) -> Iterator[Figure]:
    torch.set_num_threads(1)
    found = table_loading.measure(directory / "rows", 50_000 if quick else 200_000, 256, 5)
    floor = {"tensor[rows]": found["tensor[rows]"]}
    yield Figure("256 rows of a table from a mapped file", "ms of CPU", found["mapped"], floor)
    yield Figure("256 rows of a table in memory", "ms of CPU", found["resident"], floor)


def of_intervals(directory: Path, quick: bool) -> Iterator[Figure]:
    rows = list(intervals.coverage(20 if quick else 400, [3] if quick else [3, 5, 10]))
    for name in ("methods", "best", "difference"):
        covered = [100 * float(str(row[name])) for row in rows]
        conditional = [100 * float(str(row["conditional"])) for row in rows]
        yield Figure(f"95 % intervals, {name}: cover", "%", covered, {"conditional intervals": conditional})


def of_referee(directory: Path, quick: bool) -> Iterator[Figure]:
    kinds = [(skewed, spread) for skewed in (False, True) for spread in (0.0, 0.5)]
    rates = [
        referee.hardest_cases(np.random.default_rng(seeds), 100 if quick else 800, seeds, 3, skewed, spread)
        for skewed, spread in kinds
        for seeds in ((5,) if quick else (2, 3, 5, 10))
    ]
    yield Figure(
        "verdicts `outside` that are wrong where it is hardest", "%", [100 * one.wrong_outside for one in rates]
    )
    yield Figure("verdicts `inside` that are wrong where it is hardest", "%", [100 * one.wrong_inside for one in rates])


def of_scaling(directory: Path, quick: bool) -> Iterator[Figure]:
    context = scaling.stage_of(10, 1000 if quick else 10_000, directory / "driver")
    seconds = scaling.drive(context, context.ledger, running=8, turns=24)
    for name in ("start", "epoch", "end"):
        yield Figure(f"driver: {name} of a trial", "ms", [1000 * value for value in seconds[name]])


BENCHMARKS: dict[str, Callable[[Path, bool], Iterator[Figure]]] = {
    "step_cost": of_step_cost,
    "gpu": of_gpu,
    "sweep_efficiency": of_sweep_efficiency,
    "scale": of_scale,
    "scaling": of_scaling,
    "object_storage": of_object_storage,
    "data_loading": of_data_loading,
    "table_loading": of_table_loading,
    "intervals": of_intervals,
    "referee": of_referee,
}


def in_words(values: Sequence[float]) -> str:
    """Return median and quartiles."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{median:.3g} ({low:.3g} to {high:.3g})" if len(values) > 1 else f"{median:.3g}"


def rows(name: str, figures: Iterator[Figure]) -> Iterator[str]:
    for figure in figures:
        beside = "; ".join(f"{who} {in_words(values)}" for who, values in figure.beside.items())
        yield f"| `{name}` | {figure.what} | {figure.unit} | {in_words(figure.ours)} | {beside or '–'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # peers' solvers give many
    home = Path.cwd()
    lines = ["| benchmark | what | unit | mtlsweep | beside it |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        for name in arguments.only:
            began = time.perf_counter()
            place = Path(directory, name)
            place.mkdir()
            lines += rows(name, BENCHMARKS[name](place, arguments.quick))
            os.chdir(home)
            TARGET.parent.mkdir(exist_ok=True)
            TARGET.write_text("\n".join(lines) + "\n")  # after each, so that a later one that fails loses nothing
            print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    print(f"\nMedians (quartiles), as in {TARGET}:\n\n{TARGET.read_text()}")


if __name__ == "__main__":
    main()
