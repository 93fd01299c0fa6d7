"""What runs in Ray's worker processes: one trial after another.

Workers never write to the ledger themselves, so hosts need not share a disk: checkpoints travel to
an actor beside the driver (`RemoteCheckpoints`), and results to the driver through Tune.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError, RayTaskError

from mtlsweep.errors import first_line
from mtlsweep.sweep.executors.checkpoints import Unwritable
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.state import EpochRecord, Finished, Outcome, State, curve_to_json, state_to_json
from mtlsweep.trials.trial import Trial

SECONDS_BETWEEN_REPORTS = 1.0

SHARE_OF_REPORTS = 0.003
"""How much of a trial's time may go into reports, which hold it until the driver has heard them."""


@dataclass(frozen=True)
class WorkerSetup:
    """What every worker of a sweep is given.

    Attributes:
        trial: what any trial is given.
        keeper: handle of the actor that writes checkpoints into the ledger (`LedgerCheckpoints`).
        data: brings the prepared data to the worker's host, where that does not have it.
        gpu_share: GPUs of one trial; less than one caps its memory to that share.
        trial_seconds: time after which a trial is taken to hang and its process ends itself; None means never.
    """

    trial: Setup
    keeper: Any
    data: DataCopies
    gpu_share: float
    trial_seconds: float | None


class RemoteCheckpoints:
    """Sends checkpoints to the driver's host, one at a time: a slow disk slows the trial instead of filling memory."""

    def __init__(self, keeper: Any) -> None:
        self._keeper = keeper
        self._pending: Any = None

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return the point from which a trial continues, or None; from now on `holder` alone may save it."""
        content: bytes | None = ray.get(self._keeper.load_resume.remote(key, holder))
        return content

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Send best weights and resume point once the last ones are written."""
        self.wait()
        self._pending = self._keeper.save.remote(key, holder, resume, best)

    def wait(self) -> None:
        """Return once the last ones are written."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            ray.get(pending)
        except RayTaskError as error:
            if isinstance(error.cause, Unwritable):
                raise error.cause from error
            raise


def train(config: Mapping[str, Any], setup: WorkerSetup) -> None:
    """Train one trial (a Tune function trainable).

    Reports `{"records"}` of epochs now and then and `{"state"}` at the end. An exception of the trial's own
    code is a result too (`failed`), so it never stops the sweep; only the death of this process and
    trouble with the cluster are left to Tune. That checkpoints cannot be
    written is no fault of the trial: `{"unwritable"}` stops the sweep.
    """
    import torch  # the driver imports this module and need not wait for torch

    from mtlsweep.sweep.executors.run_assignment import name_cause, run_assignment

    if _state.spoilt_by is not None:  # Tune starts the trial again in a new process
        raise RuntimeError(f"this process cannot be used again after a device error: {_state.spoilt_by}")
    torch.set_num_threads(setup.trial.threads)
    if torch.cuda.is_available() and 0 < setup.gpu_share < 1:
        torch.cuda.set_per_process_memory_fraction(1.0 if config["alone"] else setup.gpu_share)
    trial = Trial.from_json(config["trial"])
    reports = _Reports()
    state: State
    try:
        with _time_limit(setup, trial.key):
            state = run_assignment(
                Assignment(trial, config["until"]),
                setup.trial,
                setup.data.directory_here(trial.cell.data_fingerprint),
                RemoteCheckpoints(setup.keeper),
                reports.epoch,
            )
    except Unwritable as error:
        tune.report({"unwritable": str(error)})
        return
    except RayError:
        raise  # the cluster's trouble, not the trial's: Tune starts it again, from its resume point
    except Exception as error:
        if isinstance(error, torch.AcceleratorError):
            _state.spoilt_by = first_line(error)
        state = Finished(Outcome.FAILED, (), name_cause(error), traceback.format_exc())
    reports.end(state)


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

    def end(self, state: State) -> None:
        tune.report({"records": self._take(), "state": state_to_json(state), "host": os.uname().nodename})

    def _take(self) -> dict[str, Any]:
        records = curve_to_json(self.pending)
        self.pending = []
        return records
