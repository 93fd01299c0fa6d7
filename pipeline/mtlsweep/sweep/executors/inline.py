"""Trials in this process, one after another: for debuggers, notebooks, tests, and machines without Ray."""

from __future__ import annotations

import os
import traceback

from mtlsweep.sweep.executors.attempts import Attempts
from mtlsweep.sweep.executors.checkpoint_store import CheckpointStore, CheckpointWriteError
from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.sweep.executors.host_trouble import Host, Trouble, trouble_of
from mtlsweep.sweep.executors.run_assignment import name_cause, run_assignment
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.training.device import torch_threads
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, Outcome, State


class InlineExecutor(Executor):
    """Trains in this process.

    A hanging trial cannot be stopped, so `resources.trial_hours` has no effect here.

    Args:
        setup: settings shared by all trials.
        checkpoints: stores resume points and best weights.
        raises: whether to raise exceptions of a trial, for a debugger, instead of recording them.
    """

    def __init__(self, setup: Setup, checkpoints: CheckpointStore, raises: bool = False) -> None:
        self._setup = setup
        self._checkpoints = checkpoints
        self._raises = raises

    def run(self, work: Work) -> None:
        """Train one assignment after another."""
        here = Host(os.uname().nodename, os.uname().nodename)
        attempts = Attempts(work, lambda: [here.id], alone=True)
        while (attempt := attempts.next()) is not None:
            work.started(attempt.assignment)
            try:
                state = self._train(attempt.assignment, work)
            except _Stopped:
                return
            except CheckpointWriteError as error:
                work.unwritable(str(error))
                return
            if isinstance(state, Trouble):
                attempts.had_trouble(attempt, here, state, starts=1)
            else:
                attempts.ended(attempt, state, here, starts=1)

    def _train(self, assignment: Assignment, work: Work) -> State | Trouble:
        def report(record: EpochRecord) -> None:
            work.epochs(assignment, [record], os.uname().nodename)
            if work.stopping() is not None and record.epoch < assignment.until:
                raise _Stopped

        try:
            with torch_threads(self._setup.threads):
                return run_assignment(assignment, self._setup, self._setup.data, self._checkpoints, report)
        except (_Stopped, CheckpointWriteError):
            raise
        except Exception as error:
            if self._raises:
                raise
            detail = traceback.format_exc()
            return trouble_of(error, detail) or Finished(Outcome.FAILED, (), name_cause(error), detail)


class _Stopped(Exception):  # noqa: N818  (not an error)
    """The work stops in the middle of a trial."""
