"""Train one assignment in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from mtlsweep.errors import UserError, first_line
from mtlsweep.suites.prepared import open_prepared
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.sweep.executors.checkpoint_store import CheckpointStore, TrialCheckpoints
from mtlsweep.sweep.executors.host_trouble import HostError
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.training.device import choose_device
from mtlsweep.training.trial import EpochEnd, run_trial
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import State


def run_assignment(
    assignment: Assignment,
    setup: Setup,
    data: Path,
    checkpoints: CheckpointStore,
    report: Callable[[EpochRecord], None],
) -> State:
    """Train one assignment in this process and return its state.

    Args:
        assignment: what to train.
        setup: settings shared by all trials.
        data: directory of the prepared data on this host.
        checkpoints: stores resume points and best weights.
        report: called after each epoch.

    Raises:
        CheckpointWriteError: checkpoints cannot be written.
        HostError: this host has no such device, or cannot read the data.
        Exception: any exception of the trial's code.
    """
    if setup.import_path not in sys.path:
        sys.path.insert(0, setup.import_path)
    trial = assignment.trial
    device = _device(setup.device)
    saved = TrialCheckpoints(
        checkpoints, trial.key, assignment.until, trial.cell.training.epochs, setup.checkpoint_seconds
    )

    def end_epoch(end: EpochEnd) -> None:
        saved.epoch(end)
        report(end.record)

    result = run_trial(
        trial,
        _open_data(data, trial.cell.data_fingerprint),
        end_epoch,
        score=setup.score,
        device=device,
        resume=saved.load(),
        until=assignment.until,
    )
    saved.end()
    return result


def _device(wanted: str) -> torch.device:
    """Return the device to train on; that this host has none is its trouble."""
    try:
        return torch.device(choose_device(wanted))
    except UserError as error:
        raise HostError("device", str(error).rstrip(".")) from error


def _open_data(directory: Path, fingerprint: str) -> PreparedData:
    """Return the prepared data; whatever goes wrong in reading it is the host's trouble."""
    try:
        data = open_prepared(directory)
    except Exception as error:
        raise HostError("data", f"the prepared data in `{directory}` cannot be read: {first_line(error)}") from error
    if data.fingerprint != fingerprint:
        raise HostError(
            "data", f"the prepared data in `{directory}` is not that of this plan (or is changed meanwhile)"
        )
    return data


def name_cause(error: Exception) -> str:
    """Return the kind of a failure as one word."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "oom"
    return "code"
