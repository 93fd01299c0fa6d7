"""Code of Ray's worker processes, which train one trial after another.

Workers never write to the ledger, so hosts need no shared disk: checkpoints go to an actor on the
driver's host (`RemoteCheckpoints`), and results go to the driver through Tune.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError, RayTaskError

from mtlsweep.errors import first_line
from mtlsweep.sweep.executors.checkpoint_store import CheckpointWriteError
from mtlsweep.sweep.executors.host_trouble import Host, HostError, trouble_of
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.ray.verified_copy import DamagedCopyError
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord, curve_to_json
from mtlsweep.trials.state import Finished, Outcome, State, state_to_json
from mtlsweep.trials.trial import Trial

SECONDS_BETWEEN_REPORTS = 1.0

SHARE_OF_REPORTS = 0.003
"""Maximum share of a trial's time for reports, which block training until the driver receives them."""


@dataclass(frozen=True)
class WorkerSetup:
    """Settings of every worker of a sweep.

    Attributes:
        trial: settings shared by all trials.
        checkpoint_actor: handle of the actor that writes checkpoints into the ledger (`LedgerCheckpoints`).
        data: copies the prepared data to the worker's host if it is missing.
        trial_seconds: time limit of a trial, after which its process exits; None means no limit.
    """

    trial: Setup
    checkpoint_actor: Any
    data: DataCopies
    trial_seconds: float | None


class RemoteCheckpoints:
    """Sends checkpoints to the driver's host, one at a time: a slow disk slows the trial instead of filling memory."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._pending: Any = None

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return the resume point of a trial, or None; from now on only `holder` may save checkpoints."""
        content: bytes | None = ray.get(self._actor.load_resume.remote(key, holder))
        return content

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Send best weights and resume point after the previous ones are written."""
        self.wait()
        self._pending = self._actor.save.remote(key, holder, resume, best)

    def wait(self) -> None:
        """Wait until the previous ones are written."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        try:
            ray.get(pending)
        except RayTaskError as error:
            if isinstance(error.cause, CheckpointWriteError):
                raise error.cause from error
            raise


def train(config: Mapping[str, Any], setup: WorkerSetup) -> None:
    """Train one trial (a Tune function trainable).

    Reports `{"records"}` of epochs during training and `{"state"}` at the end. An exception in the trial's
    code is a result (`failed`) and never stops the sweep. Tune handles only crashes of this process and
    cluster errors. A failed checkpoint write is not the trial's fault: `{"checkpoint_error"}` stops the sweep.
    Neither is what this host lacks: `{"trouble"}` lets the trial run elsewhere. A process that a device error
    has spoilt says so (`{"spoilt_process"}`) and fails; Tune starts another one.
    """
    trial = Trial.from_json(config["trial"])
    setup.checkpoint_actor.began.remote(trial.key, ray.get_runtime_context().get_node_id())

    import torch  # imported here so that the driver does not load torch

    from mtlsweep.sweep.executors.run_assignment import name_cause, run_assignment

    if _state.device_error is not None:
        tune.report({"spoilt_process": True})
        raise RuntimeError(f"this process cannot be used again after a device error: {_state.device_error}")
    torch.set_num_threads(setup.trial.threads)
    memory, device = config["place"]["memory"], config["place"]["device"]
    if memory is not None and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(memory)
    reports = _Reports()
    state: State
    try:
        check_gpu(device == "cuda")
        with _time_limit(setup, trial.key):
            state = run_assignment(
                Assignment(trial, config["until"]),
                replace(setup.trial, device=device or setup.trial.device),
                _data_here(setup.data, trial.cell.data_fingerprint),
                RemoteCheckpoints(setup.checkpoint_actor),
                reports.epoch,
            )
    except CheckpointWriteError as error:
        tune.report({"checkpoint_error": str(error)})
        return
    except RayError:
        raise  # a cluster error, not the trial's: Tune restarts it from its resume point
    except Exception as error:
        if isinstance(error, torch.AcceleratorError):
            _state.device_error = first_line(error)
        detail = traceback.format_exc()
        if (trouble := trouble_of(error, detail)) is not None:
            tune.report({"trouble": asdict(trouble), "host": _host()})
            return
        state = Finished(Outcome.FAILED, (), name_cause(error), detail)
    reports.end(state)


def check_gpu(needed: bool) -> None:
    """Check that torch can use this process's GPU, if one is `needed`.

    Raises:
        HostError: it cannot; the trial would take much longer on the CPU.
    """
    import torch

    if needed and not torch.cuda.is_available():
        raise HostError("device", "torch can use no GPU of this host; `nvidia-smi` shows whether its driver works")


def _host() -> Host:
    return Host(ray.get_runtime_context().get_node_id(), os.uname().nodename)


def _data_here(data: DataCopies, fingerprint: str) -> Path:
    """Return the directory of the prepared data on this host; that it cannot be had is the host's trouble."""
    try:
        return data.directory_here(fingerprint)
    except RayTaskError as error:
        raise HostError(
            "data", f"the prepared data cannot be read where the sweep runs: {first_line(error.cause)}"
        ) from error
    except DamagedCopyError as error:
        raise HostError("data", first_line(error)) from error
    except OSError as error:
        raise HostError("disk", f"the prepared data cannot be copied to this host: {error}") from error


@contextmanager
def _time_limit(setup: WorkerSetup, key: str) -> Iterator[None]:
    """Exit this process when the block exceeds the time limit; record the reason in the ledger."""

    def exit_process() -> None:
        ray.get(setup.checkpoint_actor.mark_hung.remote(key))
        os._exit(1)

    if setup.trial_seconds is None:
        yield
        return
    timer = threading.Timer(setup.trial_seconds, exit_process)
    timer.daemon = True
    timer.start()
    # If the interpreter hangs, no Python thread runs; this C thread still does.
    faulthandler.dump_traceback_later(2 * setup.trial_seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()


@dataclass
class _ProcessState:
    """State of a worker process that is kept between trials."""

    device_error: str | None = None


_state = _ProcessState()


@dataclass
class _Reports:
    """Reports epochs to the driver, several short epochs at a time."""

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
        tune.report({"records": self._take(), "state": state_to_json(state), "host": _host()})

    def _take(self) -> dict[str, Any]:
        records = curve_to_json(self.pending)
        self.pending = []
        return records
