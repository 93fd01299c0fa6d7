"""Data for `mtlsweep status`, from the ledger, the lease and the driver's progress file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.display import read_progress
from mtlsweep.sweep.lease import find_holder
from mtlsweep.sweep.plan.planned_keys import is_complete, read_planned_keys
from mtlsweep.trials.state import FinishedTrial, Outcome


class FinishedTrials(Protocol):
    """Where finished trials are read: the ledger, or what a live view has read of it so far."""

    def read_ends(self, keys: Iterable[str]) -> Iterable[tuple[str, Outcome, str | None]]:
        """Yield key, outcome and cause of those of the named trials that are finished."""

    def read_all(self) -> Iterable[FinishedTrial]:
        """Yield every finished trial, ordered by key."""


@dataclass(frozen=True)
class StageStatus:
    """Progress of one stage.

    Attributes:
        planned: size of its plan; when the stage is complete, the number of trials that it needed of it.
        not_needed: trials of the plan that a complete stage did without, since a race cut their learning rates.
        ends: outcome and cause of its finished trials, by key.
        half_finished: number of trials that have only a resume point.
        progress: what its driver wrote last, also in an earlier sweep; empty if there was none.
    """

    planned: int
    not_needed: int
    ends: Mapping[str, tuple[Outcome, str | None]]
    half_finished: int
    progress: Mapping[str, Any]

    def to_json(self, is_running: bool) -> dict[str, Any]:
        """Return it as plain data; the driver's progress counts while a sweep of the suite runs.

        `planned` is then the number of trials that its strategy expects, since a race needs only a part of its plan.
        """
        outcomes = Counter(outcome.value for outcome, _ in self.ends.values())
        failed = Counter(cause for outcome, cause in self.ends.values() if outcome is Outcome.FAILED)
        progress = self.progress if is_running else {}
        return {
            "planned": progress["planned"] if progress.get("running") else self.planned,
            "not_needed": self.not_needed,
            "outcomes": dict(sorted(outcomes.items())),
            "failures": dict(sorted(failed.items())),
            "half_finished": self.half_finished,
            "running": progress.get("running", []),
            "devices": progress.get("devices", []),
            "eta_seconds": progress.get("eta_seconds") if progress.get("running") else None,
            "trials_per_hour": progress.get("trials_per_hour"),
        }


def read_status(trained: Mapping[Stage, Params], suite: str) -> dict[str, Any]:
    """Return the progress of a suite as plain data.

    Args:
        trained: the stages of the suite that train, with the params of each.
        suite: its name.

    Raises:
        UserError: unknown suite, invalid params, or missing raw data.
    """
    ledger = Ledger(trained["sweep"].resources.ledger_root, suite)
    holder = find_holder(ledger)
    by_stage = read_stages(trained, suite, ledger, ledger)
    return {
        "suite": suite,
        "holder": holder,
        "stages": {stage: one.to_json(holder is not None) for stage, one in by_stage.items()},
        "disk_bytes": ledger.disk_bytes(),
    }


def read_stages(
    trained: Mapping[Stage, Params], suite: str, ledger: Ledger, finished: FinishedTrials
) -> dict[Stage, StageStatus]:
    """Return the progress of each stage of a suite.

    Args:
        trained: the stages that train, with the params of each.
        suite: its name.
        ledger: of the suite.
        finished: where its finished trials are read.

    Raises:
        UserError: as `read_status`.
    """
    return {stage: _read_stage(own, suite, stage, ledger, finished) for stage, own in trained.items()}


def _read_stage(params: Params, suite: str, stage: Stage, ledger: Ledger, finished: FinishedTrials) -> StageStatus:
    progress = read_progress(ledger, stage) or {}
    keys = read_planned_keys(params, suite, stage)
    if keys is not None:
        ends = {key: (outcome, cause) for key, outcome, cause in finished.read_ends(keys)}
        left = set(keys) - ends.keys()
        half_finished = len(left & ledger.checkpoints.with_resume()) if left else 0  # to list all trials takes time
        not_needed = len(left) if left and is_complete(params, suite, stage, len(ends)) else 0
        return StageStatus(len(keys) - not_needed, not_needed, ends, half_finished, progress)
    from mtlsweep.sweep.plan.plan import open_plan  # imports torch, which takes seconds

    plan = open_plan(params, suite, stage)
    own = plan.select(finished.read_all())
    ends = {one.trial.key: (one.state.outcome, one.state.cause) for one in own}
    return StageStatus(plan.count_planned(len(own)), 0, ends, plan.count_half_finished(), progress)
