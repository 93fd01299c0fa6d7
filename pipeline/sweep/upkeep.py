"""What people do with a ledger: look at failures, try trials again, run one alone, stop a sweep, free disk."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from pipeline.data import open_prepared
from pipeline.errors import UserError
from pipeline.ledger import Ledger
from pipeline.params import Params
from pipeline.paths import prepared
from pipeline.sweep.context import open_plan
from pipeline.sweep.lease import Lease, read_holder
from pipeline.tracking import Tracker
from pipeline.training.trial import EpochEnd, choose_device, run_trial
from pipeline.trials import Outcome, Trial, TrialResult

SECONDS_TO_STOP = 120.0


@dataclass(frozen=True)
class Failure:
    """A trial that ended without a result.

    Attributes:
        key, name: of the trial.
        outcome: `failed` or `diverged`.
        cause: one word, by which failures are grouped.
        detail: where and how, with the traceback of an exception.
        repeat: the command that runs the trial alone.
    """

    key: str
    name: str
    outcome: str
    cause: str
    detail: str
    repeat: str


def list_failures(params: Params, suite: str) -> list[Failure]:
    """Return the failed and diverged trials of a suite, by cause."""
    ended = (
        one for one in _ledger(params, suite).read_all() if one.result.outcome in (Outcome.FAILED, Outcome.DIVERGED)
    )
    failures = [
        Failure(
            key=one.trial.key,
            name=one.trial.name,
            outcome=one.result.outcome.value,
            cause=one.result.cause or "",
            detail=one.result.detail or "",
            repeat=f"mtlsweep run {one.trial.key}",
        )
        for one in ended
    ]
    return sorted(failures, key=lambda failure: (failure.outcome, failure.cause, failure.name))


def retry(params: Params, suite: str, keys: Sequence[str], cause: str | None) -> list[Trial]:
    """Forget failed trials, so that the next run trains them again; return them.

    Args:
        params: of the study.
        suite: whose trials.
        keys: the trials, by key or its beginning; empty means all that failed.
        cause: only those of this cause.

    Raises:
        UserError: a key names no failed trial, or a sweep of the suite is running.
    """
    ledger = _ledger(params, suite)
    failed = [one for one in ledger.read_all() if one.result.outcome is Outcome.FAILED]
    for key in keys:
        if not any(one.trial.key.startswith(key) for one in failed):
            raise UserError(
                f"no failed trial of `{suite}` begins with `{key}`; `mtlsweep failures {suite}` lists them."
            )
    chosen = [
        one.trial
        for one in failed
        if (cause is None or one.result.cause == cause)
        and (not keys or any(one.trial.key.startswith(key) for key in keys))
    ]
    with Lease(ledger.directory, suite):
        tracker = Tracker(params.resources.tracking_uri, suite)
        for trial in chosen:
            tracker.forget(trial.key)
            ledger.forget(trial.key)
    return chosen


def run_alone(params: Params, key: str, report: Callable[[EpochEnd], None]) -> tuple[Trial, TrialResult]:
    """Train one planned or finished trial in this process, from the start; nothing is recorded.

    Raises:
        UserError: no trial, or more than one, begins with `key`.
        Exception: whatever the trial itself raises, for a debugger.
    """
    found: dict[str, Trial] = {}
    for suite in params.suites:
        ledger = _ledger(params, suite)
        finished = {name: ledger.read(name).trial for name in ledger.finished_keys() if name.startswith(key)}
        planned: dict[str, Trial] = {}
        if suite in params.active:
            for stage in ("baselines", "sweep"):
                planned |= {t.key: t for t in open_plan(params, suite, stage).trials if t.key.startswith(key)}
        found |= planned | finished
    if len(found) != 1:
        raise UserError(
            f"{'no trial begins' if not found else f'{len(found)} trials begin'} with `{key}`; "
            "`mtlsweep failures` and the tags `trial_key` in MLflow show whole keys."
        )
    (trial,) = found.values()
    data = open_prepared(prepared(trial.cell.suite))
    device = torch.device(choose_device(params.resources.device))
    torch.set_num_threads(params.resources.threads)
    return trial, run_trial(trial, data, report, score=lambda metrics: 0.0, device=device)


def stop(params: Params, suite: str) -> str:
    """Ask the sweep of a suite to end, wait until it has, and say what happened.

    Raises:
        UserError: it runs on another host, or does not end.
    """
    directory = _ledger(params, suite).directory
    holder = read_holder(directory)
    if holder is None:
        return f"{suite}: no sweep is running"
    if holder["host"] != socket.gethostname():
        raise UserError(
            f"{suite}: the sweep runs as process {holder['pid']} on {holder['host']}; call `mtlsweep stop` there."
        )
    os.kill(holder["pid"], signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_STOP
    while time.monotonic() < deadline:
        if (read_holder(directory) or {}).get("pid") != holder["pid"]:
            return f"{suite}: the sweep has ended; `dvc repro` goes on where it stopped"
        time.sleep(0.2)
    raise UserError(
        f"{suite}: process {holder['pid']} did not end within {SECONDS_TO_STOP:.0f} s; `kill -9 {holder['pid']}` loses nothing."
    )


def collect_garbage(params: Params, suite: str) -> int:
    """Drop the resume points of trials that ended, pruned ones included; return the bytes freed.

    Raises:
        UserError: a sweep of the suite is running.
    """
    ledger = _ledger(params, suite)
    with Lease(ledger.directory, suite):
        return sum(ledger.drop_resume(key) for key in ledger.finished_keys())


def _ledger(params: Params, suite: str) -> Ledger:
    params.suite(suite)
    return Ledger(params.resources.ledger_root, suite)
