"""The share of a sweep's time that is training: ours, plain Ray Tune, and a shell loop, on the same trials.

    python benchmarks/sweep_efficiency.py --trials 60 --seconds 10
    python benchmarks/sweep_efficiency.py --trials 200 --seconds 1

Efficiency is the sum of pure training seconds over (slots x wall-clock). Each contender trains the
same trials with the same pure function (`mtlsweep.training.trial.run_trial`), two at a time, and records
every epoch: ours with ledger, MLflow and tables; Ray Tune with its own `MLflowLoggerCallback`, with a
fresh actor per trial and with `reuse_actors`; the loop starts a Python process per trial, which
writes a JSON file. Clocks start when data is prepared and end when all is recorded.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import yaml

from mtlsweep import paths
from mtlsweep.params.params import parse_params
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.sweep.executors.ray.settings import SETTINGS
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.sweep.stage import run_stage
from mtlsweep.training.timing import time_steps
from mtlsweep.training.trial import EpochEnd, run_trial
from mtlsweep.trials.metric_names import LOSS, MetricName
from mtlsweep.trials.trial import Trial

SUITE, SLOTS = "digits", 2
SCRIPT = Path(__file__).resolve()
PEER_SHARE = "share of the trials that the others train; their efficiency hardly depends on it"


def score(metrics: Mapping[str, float]) -> float:
    return metrics[str(MetricName("val", "left", LOSS))]


def train(trial: Trial, data: Path, report: Callable[[EpochEnd], None]) -> float:
    """Train one trial; return the seconds of its epochs."""
    torch.set_num_threads(1)
    result = run_trial(trial, open_prepared(data), report, score=score, device=torch.device("cpu"))
    return sum(record.seconds for record in result.curve)


def make_params(trials: int, epochs: int) -> dict[str, object]:
    return {
        "active": [SUITE],
        "suites": {
            SUITE: {
                "data": {"dataset": {"multidigits": {"train": 2000, "val": 200, "test": 200}}},
                "network": {"lenet": {"downsampling": "stride"}},
                "training": {"epochs": epochs, "batch_size": 32},
                "baselines": {"learning_rates": [0.001], "seeds": [0]},
                "sweep": {
                    "weightings": ["ew"],
                    "optimizers": ["adam"],
                    "learning_rates": [float(rate) for rate in np.geomspace(1e-4, 1e-3, trials).round(9)],
                    "seeds": [0],
                },
            }
        },
        # an address for each directory, since MLflow keeps what it has opened for a whole process
        "resources": {"concurrency": SLOTS, "tracking_uri": f"sqlite:///{Path.cwd()}/mlflow.db"},
    }


def sweep_of_ours(raw: dict[str, object]) -> tuple[float, float]:
    params = parse_params(raw)
    began = time.perf_counter()
    run_stage(params, SUITE, "sweep")
    wall = time.perf_counter() - began
    finished = open_plan(params, SUITE, "sweep").read().finished
    return sum(one.execution.seconds for one in finished), wall


def sweep_of_tune(trials: list[Trial], reuse: bool) -> tuple[float, float]:
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    data, results = paths.prepared(SUITE).resolve(), Path("tune").resolve()
    shutil.rmtree(results, ignore_errors=True)

    def trainable(config: dict[str, object]) -> None:
        trial = Trial.from_json(config["trial"])  # type: ignore[arg-type]
        seconds = 0.0

        def report(end: EpochEnd) -> None:
            nonlocal seconds
            seconds += end.record.seconds
            tune.report({**end.record.metrics, "train_seconds": seconds})

        train(trial, data, report)

    began = time.perf_counter()
    environment = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    ray.init(
        address="local",
        num_cpus=SLOTS,
        runtime_env=environment,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
        object_store_memory=200_000_000,
    )
    callback = MLflowLoggerCallback(tracking_uri=f"sqlite:///{results}.db", experiment_name="tune", save_artifact=False)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"trial": tune.grid_search([trial.to_json() for trial in trials])},
        tune_config=tune.TuneConfig(max_concurrent_trials=SLOTS, reuse_actors=reuse),
        run_config=tune.RunConfig(name="sweep", storage_path=str(results), callbacks=[callback], verbose=0),
    )
    with patch.dict(os.environ):
        for name in SETTINGS:  # ours, since `mtlsweep.sweep` is imported; Tune runs with its own
            if name.startswith("TUNE_"):
                os.environ.pop(name, None)
        grid = tuner.fit()
    wall = time.perf_counter() - began
    ray.shutdown()
    if grid.errors:
        raise grid.errors[0]
    return float(grid.get_dataframe()["train_seconds"].sum()), wall


def sweep_of_a_loop(trials: list[Trial]) -> tuple[float, float]:
    Path("loop").mkdir(exist_ok=True)

    def one(trial: Trial) -> float:
        target = Path("loop", f"{trial.key}.json")
        words = [sys.executable, str(SCRIPT), "--one", json.dumps(trial.to_json()), "--target", str(target)]
        subprocess.run(words, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        return float(json.loads(target.read_text())["seconds"])

    began = time.perf_counter()
    with ThreadPoolExecutor(SLOTS) as pool:
        seconds = list(pool.map(one, trials))
    return sum(seconds), time.perf_counter() - began


def contenders(directory: Path, trials: int, seconds: float, peers: float) -> Iterator[tuple[str, int, float, float]]:
    """Yield name, number of trials, seconds of training and seconds in all of each; work in `directory`, made anew.

    Args:
        directory: is deleted first.
        trials: number of trials of ours.
        seconds: of training of each, about.
        peers: share of the trials that the others train.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.chdir(directory)
    torch.set_num_threads(1)
    params = parse_params(make_params(trials, 1))
    prepare(params.suite(SUITE).data.dataset, paths.prepared(SUITE))
    example = open_plan(params, SUITE, "sweep").trials[0]
    epoch = 1.15 * time_steps(example, open_prepared(paths.prepared(SUITE)), torch.device("cpu"), 5, 40)
    raw = make_params(trials, max(1, round(seconds / epoch)))
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    params = parse_params(raw)
    run_stage(params, SUITE, "baselines")
    planned = open_plan(params, SUITE, "sweep").trials
    fewer = planned[: max(SLOTS, round(peers * len(planned)))]
    runs: dict[str, tuple[int, Callable[[], tuple[float, float]]]] = {
        "mtlsweep": (len(planned), lambda: sweep_of_ours(raw)),
        "Ray Tune + MLflowLoggerCallback, reused actors": (len(fewer), lambda: sweep_of_tune(fewer, reuse=True)),
        "Ray Tune + MLflowLoggerCallback, fresh actors": (len(fewer), lambda: sweep_of_tune(fewer, reuse=False)),
        "a Python process per trial": (len(fewer), lambda: sweep_of_a_loop(fewer)),
    }
    for name, (count, run) in runs.items():
        yield name, count, *run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=10.0, help="of training of each, about")
    parser.add_argument("--peers", type=float, default=1.0, help=PEER_SHARE)
    parser.add_argument("--directory", type=Path, default=Path("build/sweep_efficiency"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        seconds = train(Trial.from_json(json.loads(arguments.one)), paths.prepared(SUITE), lambda end: None)
        arguments.target.write_text(json.dumps({"seconds": seconds}))
        return
    for name, count, training, wall in contenders(
        arguments.directory, arguments.trials, arguments.seconds, arguments.peers
    ):
        print(
            f"{name}: efficiency {training / (SLOTS * wall):.3f} ({count} trials of {training / count:.1f} s in {wall:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
