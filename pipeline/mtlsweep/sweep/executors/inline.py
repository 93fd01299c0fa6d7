"""Trials in this process, one after another: for debuggers, notebooks, tests, and machines without Ray."""

from __future__ import annotations

import os
import traceback

from mtlsweep.sweep.executors.checkpoints import CheckpointStore, Unwritable
from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.sweep.executors.run_assignment import name_cause, run_assignment
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.training.device import torch_threads
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.state import EpochRecord, Finished, Outcome, State


class InlineExecutor(Executor):
    """Trains in this process.

    A trial that hangs cannot be ended from outside, so `resources.trial_hours` has no effect here.

    Args:
        setup: what every trial is given.
        checkpoints: where resume points and best weights go.
        raises: whether an exception of a trial's own code is raised, for a debugger, instead of recorded.
    """

    def __init__(self, setup: Setup, checkpoints: CheckpointStore, raises: bool = False) -> None:
        self._setup = setup
        self._checkpoints = checkpoints
        self._raises = raises

    def run(self, work: Work) -> None:
        """Train one assignment after another."""
        while work.stopping() is None and (assignment := work.next()) is not None:
            work.started(assignment)
            try:
                state = self._train(assignment, work)
            except _Stopped:
                return
            except Unwritable as error:
                work.unwritable(str(error))
                return
            work.ended(assignment, state, os.uname().nodename, attempts=1)

    def _train(self, assignment: Assignment, work: Work) -> State:
        def report(record: EpochRecord) -> None:
            work.epochs(assignment, [record])
            if work.stopping() is not None and record.epoch < assignment.until:
                raise _Stopped

        try:
            with torch_threads(self._setup.threads):
                return run_assignment(assignment, self._setup, self._setup.data, self._checkpoints, report)
        except (_Stopped, Unwritable):
            raise
        except Exception as error:
            if self._raises:
                raise
            return Finished(Outcome.FAILED, (), name_cause(error), traceback.format_exc())


class _Stopped(Exception):  # noqa: N818  (no error: the work wants to stop)
    """The work wants to stop in the middle of a trial."""
