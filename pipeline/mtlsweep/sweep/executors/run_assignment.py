"""Train one assignment in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from mtlsweep.errors import UserError
from mtlsweep.suites.prepared import open_prepared
from mtlsweep.sweep.executors.checkpoints import CheckpointStore, TrialCheckpoints
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
        Exception: any exception of the trial's code.
    """
    if setup.import_path not in sys.path:
        sys.path.insert(0, setup.import_path)
    trial = assignment.trial
    saved = TrialCheckpoints(checkpoints, trial.key, assignment.until, setup.checkpoint_seconds)

    def end_epoch(end: EpochEnd) -> None:
        saved.epoch(end)
        report(end.record)

    result = run_trial(
        trial,
        open_prepared(data),
        end_epoch,
        score=setup.score,
        device=torch.device(choose_device(setup.device)),
        resume=saved.load(),
        until=assignment.until,
    )
    saved.end()
    return result


def name_cause(error: Exception) -> str:
    """Return the kind of a failure as one word."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "oom"
    if isinstance(error, UserError):
        return "data"
    return "code"
