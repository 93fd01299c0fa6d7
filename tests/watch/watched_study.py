"""A study of real data and invented results: baselines finished, the sweep half done or failed in three ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from mtlsweep import paths
from mtlsweep.analysis.objectives import Objective
from mtlsweep.params.params import Params, load_params
from mtlsweep.params.suite import STAGES, Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.sweep.device_clock import DeviceClock
from mtlsweep.sweep.lease import hold_lease
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.sweep.plan.planned_keys import write_plans
from mtlsweep.sweep.progress import Progress
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial
from tests.small_study import small_study, write

SUITE = "digits"
EPOCHS = 4
SECONDS = 90.0
"""Of an epoch."""

TRACEBACK = 'Traceback (most recent call last):\n  File "own.py", line 12, in weigh\nRuntimeError: shapes (3,) and (2,) do not match'
ENDS = (
    (Outcome.FAILED, "code", TRACEBACK),
    (Outcome.FAILED, "oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
    (Outcome.DIVERGED, "nan", "the loss of task `left` is NaN in epoch 1"),
)


def open_study(**resources: object) -> Params:
    """Make the study in the current directory: params.yaml, prepared data, plans."""
    raw = small_study(
        EPOCHS,
        strategy="grid",
        weightings=["ew", "uw", "pcgrad"],
        optimizers=["adam", "sgd"],
        learning_rates=[0.01, 0.003, 0.001],
        seeds=[0, 1],
    )
    write(raw | {"resources": resources})
    params = load_params()
    prepare(params.suite(SUITE).data.dataset, paths.prepared(SUITE))
    write_plans(dict.fromkeys(STAGES, params), SUITE)
    return params


@cache
def trials_of(stage: Stage) -> list[Trial]:
    """Return the planned trials of a stage."""
    return open_plan(load_params(), SUITE, stage).trials


@cache
def objectives() -> tuple[Objective, ...]:
    """Return what the study measures."""
    return tuple(Objective(**one) for one in open_plan(load_params(), SUITE, "sweep").metrics)


def done(trial: Trial, outcome: Outcome = Outcome.DONE, epochs: int = EPOCHS) -> FinishedTrial:
    """Return a trial whose figures are better for some methods and rates than for others."""
    names = [one.of(split) for one in objectives() for split in ("val", "test")]
    names = [name for name in names if name.task in trial.cell.tasks]
    cell, generator = trial.cell, np.random.default_rng(int(trial.key, 16))
    worse = 0.0 if cell.role == "stl" else {"ew": 0.02, "uw": 0.05, "pcgrad": -0.01}[cell.weighting_label]
    worse += {0.01: 0.0, 0.003: 0.03, 0.001: 0.06}[cell.learning_rate] + 0.04 * (cell.optimizer_label == "sgd")
    higher = {(one.task, one.metric): one.higher_is_better for one in objectives()}
    curve = []
    for epoch in range(1, epochs + 1):
        values = {f"{split}/{task}/loss": 1.0 + worse + 0.5 / epoch for split in ("val", "test") for task in cell.tasks}
        for name in names:
            change = worse + 0.1 / epoch + 0.015 * generator.normal()
            values[str(name)] = 0.8 - change if higher[name.task, name.metric] else 0.4 + change
        curve.append(EpochRecord(epoch, values, 1.7e9 + epoch, SECONDS))
    execution = Execution(1.7e9, 1.7e9 + SECONDS * epochs, SECONDS * epochs, "host-1", 1, {})
    return FinishedTrial(trial, Finished(outcome, tuple(curve)), execution)


def failed(trial: Trial, number: int) -> FinishedTrial:
    """Return a trial that ended in the way `number`."""
    outcome, cause, detail = ENDS[number % len(ENDS)]
    return FinishedTrial(
        trial, Finished(outcome, (), cause, detail), Execution(1.7e9, 1.7e9 + 30, 30.0, "host-1", 1, {})
    )


def finish(ledger: Ledger, stage: Stage, places: slice = slice(None)) -> list[Trial]:
    """Finish planned trials of a stage; return them."""
    trials = trials_of(stage)[places]
    for trial in trials:
        ledger.finish(done(trial))
    return trials


@contextmanager
def sweeping(ledger: Ledger, finished: int = 20, running: int = 3) -> Iterator[Progress]:
    """Finish some trials, let others run, and hold the lease as a sweep does."""
    trials = trials_of("sweep")
    finish(ledger, "sweep", slice(finished))
    left: dict[str, int] = {}
    for trial in trials[finished:]:
        left[trial.cell.method] = left.get(trial.cell.method, 0) + EPOCHS
    now = 0.0
    progress = Progress(
        f"{SUITE} sweep",
        len(trials),
        left,
        dict.fromkeys((t.key for t in trials[:finished]), Outcome.DONE),
        clock=DeviceClock(lambda: now),
    )
    for number, trial in enumerate(trials[finished : finished + running]):
        progress.start(trial)
        now += SECONDS * (number + 1)
        progress.interrupt(trial)  # its host is gone, and it goes on from its checkpoint
    for number, trial in enumerate(trials[finished : finished + running]):
        progress.start(trial)
        for record in done(trial).state.curve[: number + 1]:
            progress.epoch(trial, record, delta_m=1.5 * number - 1, host=f"gpu-{number % 2 + 1}")
    with hold_lease(ledger, SUITE):
        ledger.storage.note("progress-sweep.json", json.dumps(progress.to_json()).encode())
        yield progress
