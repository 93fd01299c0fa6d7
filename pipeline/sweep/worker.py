"""What runs in Ray's worker processes: one trial after another.

Workers never write to the ledger themselves, so hosts need not share a disk: checkpoints travel to
the `Keeper`, an actor beside the driver, and results to the driver through Tune.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError, RayTaskError

from pipeline.errors import UserError
from pipeline.sweep.delivery import Delivery
from pipeline.trials import EpochRecord, Outcome, Trial, TrialResult

SECONDS_BETWEEN_REPORTS = 1.0
SHARE_OF_REPORTS = 0.003
"""How much of a trial's time may go into reports, which hold it until the driver has heard them."""


@dataclass(frozen=True)
class WorkerSetup:
    """What every trial of a sweep is given.

    Attributes:
        keeper: handle of the `Keeper`.
        delivery: brings the prepared data to the worker's host, where that does not have it.
        score: of an epoch's metrics, lower is better; decides only which weights are kept.
        device: `auto`, `cpu` or `cuda`.
        threads: torch threads of one trial.
        gpu_share: GPUs of one trial; less than one caps its memory to that share.
        checkpoint_seconds: least time between two resume points.
        trial_seconds: time after which a trial is taken to hang and its process ends itself; None means never.
        import_path: directory of the user's own modules.
    """

    keeper: Any
    delivery: Delivery
    score: Callable[[Mapping[str, float]], float]
    device: str
    threads: int
    gpu_share: float
    checkpoint_seconds: float
    trial_seconds: float | None
    import_path: str


def train(config: Mapping[str, Any], setup: WorkerSetup) -> None:
    """Train one trial (a Tune function trainable).

    Reports `{"records"}` of epochs now and then and `{"result"}` at the end. An exception of the trial's own
    code is a result too (`failed`), so it never stops the sweep; only the death of this process and
    trouble with the cluster are left to Tune. That the keeper cannot write is no fault of the trial: `{"unwritable"}` stops the sweep.
    """
    import torch  # the driver imports this module and need not wait for torch

    if _state.spoilt_by is not None:  # Tune starts the trial again in a new process
        raise RuntimeError(f"this process cannot be used again after a device error: {_state.spoilt_by}")
    torch.set_num_threads(setup.threads)
    if torch.cuda.is_available() and 0 < setup.gpu_share < 1:
        torch.cuda.set_per_process_memory_fraction(1.0 if config["alone"] else setup.gpu_share)
    trial = Trial.from_json(config["trial"])
    reports = _Reports()
    try:
        with _time_limit(setup, trial.key):
            result = _run(trial, config["until"], setup, reports)
    except RayError as error:
        if isinstance(error, RayTaskError) and isinstance(error.cause, OSError):
            tune.report({"unwritable": error.cause.strerror or str(error.cause)})
            return
        raise  # the cluster's trouble, not the trial's: Tune starts it again, from its resume point
    except Exception as error:
        if isinstance(error, torch.AcceleratorError):
            _state.spoilt_by = str(error).splitlines()[0]
        result = TrialResult(Outcome.FAILED, (), _cause(error), traceback.format_exc())
    reports.end(result)


@contextmanager
def _time_limit(setup: WorkerSetup, key: str) -> Iterator[None]:
    """End this process when the block takes longer than a trial may; the ledger is told why."""

    def give_up() -> None:
        ray.get(setup.keeper.note_hang.remote(key))
        os._exit(1)

    if setup.trial_seconds is None:
        yield
        return
    timer = threading.Timer(setup.trial_seconds, give_up)
    timer.daemon = True
    timer.start()
    # Where the interpreter itself hangs no Python thread runs any more, but this one of C does.
    faulthandler.dump_traceback_later(2 * setup.trial_seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()


@dataclass
class _ProcessState:
    """What a worker process must remember from one trial to the next."""

    spoilt_by: str | None = None


_state = _ProcessState()


def _run(trial: Trial, until: int, setup: WorkerSetup, reports: _Reports) -> TrialResult:
    import sys

    import torch

    from pipeline.data import open_prepared
    from pipeline.training.trial import EpochEnd, choose_device, run_trial

    if setup.import_path not in sys.path:
        sys.path.insert(0, setup.import_path)
    checkpoints = _Checkpoints(setup, trial.key, until)

    def report(end: EpochEnd) -> None:
        checkpoints.epoch(end)
        reports.epoch(end.record)

    result = run_trial(
        trial,
        open_prepared(setup.delivery.directory_here(trial.cell.data_fingerprint)),
        report,
        score=setup.score,
        device=torch.device(choose_device(setup.device)),
        resume=ray.get(setup.keeper.load_resume.remote(trial.key, checkpoints.holder)),
        until=until,
    )
    checkpoints.end()
    return result


@dataclass
class _Reports:
    """Tells the driver of epochs, short ones several at a time."""

    pending: list[EpochRecord] = field(default_factory=list)
    next_at: float = field(default_factory=lambda: time.monotonic() + SECONDS_BETWEEN_REPORTS)

    def epoch(self, record: EpochRecord) -> None:
        self.pending.append(record)
        began = time.monotonic()
        if began >= self.next_at:
            tune.report({"records": self._take()})
            taken = time.monotonic() - began
            self.next_at = began + max(SECONDS_BETWEEN_REPORTS, taken / SHARE_OF_REPORTS)

    def end(self, result: TrialResult) -> None:
        tune.report({"records": self._take(), "result": result.to_json(), "host": os.uname().nodename})

    def _take(self) -> dict[str, Any]:
        records = TrialResult(Outcome.DONE, tuple(self.pending)).to_json()
        self.pending = []
        return records


@dataclass
class _Checkpoints:
    """Sends best weights and resume points of one trial to the keeper: where it pauses, else not more often than asked."""

    setup: WorkerSetup
    key: str
    until: int
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    best: bytes | None = None
    saved_at: float = field(default_factory=time.monotonic)
    pending: Any = None

    def epoch(self, end: Any) -> None:
        if end.is_best:
            self.best = end.weights()
        if end.record.epoch == self.until or time.monotonic() - self.saved_at >= self.setup.checkpoint_seconds:
            self._send(end.resume_point())

    def end(self) -> None:
        self._send(None)
        ray.get(self.pending)

    def _send(self, resume: bytes | None) -> None:
        if self.pending is not None:
            ray.get(self.pending)  # one at a time: a slow disk slows the trial instead of filling memory
        self.pending = self.setup.keeper.save.remote(self.key, self.holder, resume, self.best)
        self.best = None
        self.saved_at = time.monotonic()


def _cause(error: Exception) -> str:
    """Name the kind of a failure in one word."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "oom"
    if isinstance(error, UserError):
        return "data"
    return "code"
