"""Train one trial in this process, independent of any sweep."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage
from mtlsweep.paths import prepared
from mtlsweep.sweep.control.clean_up import open_ledger
from mtlsweep.sweep.executors.checkpoint_store import NoCheckpoints
from mtlsweep.sweep.executors.inline import InlineExecutor
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, State
from mtlsweep.trials.trial import Trial


def run_alone(
    params: Params,
    key: str,
    report: Callable[[EpochRecord], None],
    trained: Callable[[Params, str], Mapping[Stage, Params]],
) -> tuple[Trial, Finished]:
    """Train one planned or finished trial in this process, from the start, without recording it.

    Args:
        params: of the study.
        key: trial key, or a prefix of it.
        report: receives every epoch.
        trained: returns the stages of a suite that train, with the params of each.

    Raises:
        UserError: the prefix `key` matches no trial, or more than one.
        Exception: any exception of the trial, for a debugger.
    """
    found: dict[str, Trial] = {}
    for suite in params.suites:
        ledger = open_ledger(params, suite)
        finished = {name: ledger.read(name).trial for name in ledger.finished_keys() if name.startswith(key)}
        planned: dict[str, Trial] = {}
        if suite in params.active:
            for stage, own in trained(params, suite).items():
                planned |= {t.key: t for t in open_plan(own, suite, stage).trials if t.key.startswith(key)}
        found |= finished | planned
    if len(found) != 1:
        raise UserError(
            f"{'no trial key starts' if not found else f'{len(found)} trial keys start'} with `{key}`; "
            "find full keys with `mtlsweep failures` or in the MLflow tag `trial_key`."
        )
    (trial,) = found.values()
    resources = params.resources
    setup = Setup(
        data=prepared(trial.cell.suite),
        score=lambda metrics: 0.0,
        device=resources.device,
        threads=resources.threads,
        checkpoint_seconds=float("inf"),
        import_path=os.getcwd(),
    )
    work = _OneTrial(trial, report)
    InlineExecutor(setup, NoCheckpoints(), raises=True).run(work)
    assert isinstance(work.state, Finished)  # it was trained to its last epoch
    return trial, work.state


class _OneTrial:
    """`Work` that trains one trial to its last epoch, without recording it."""

    def __init__(self, trial: Trial, report: Callable[[EpochRecord], None]) -> None:
        self._waiting: Assignment | None = Assignment(trial, trial.cell.training.epochs)
        self._report = report
        self.state: State | None = None

    def next(self) -> Assignment | None:
        assignment, self._waiting = self._waiting, None
        return assignment

    def stopping(self) -> str | None:
        return None

    def started(self, assignment: Assignment) -> None:
        """Nothing is recorded."""

    def interrupted(self, assignment: Assignment) -> None:
        """Never called: the trial runs in this process."""

    def devices(self, sentences: Sequence[str]) -> None:
        """Never called: the trial runs in this process."""

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord], host: str = "") -> None:
        for record in records:
            self._report(record)

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        self.state = state

    def unwritable(self, reason: str) -> None:
        """Nothing is written."""

    def changed(self, assignment: Assignment, reason: str) -> None:
        """Never called: an exception of the trial is raised."""

    def no_host(self, reason: str) -> None:
        """Never called: an exception of the trial is raised."""
