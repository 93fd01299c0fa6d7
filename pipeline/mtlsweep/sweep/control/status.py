"""Data for `mtlsweep status`, from the ledger, the lease and the driver's progress file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.display import read_progress
from mtlsweep.sweep.lease import find_holder
from mtlsweep.sweep.plan.planned_keys import read_planned_keys
from mtlsweep.trials.state import Outcome


def read_status(trained: Mapping[Stage, Params], suite: str) -> dict[str, Any]:
    """Return the progress of a suite as plain data.

    Args:
        trained: the stages of the suite that train, with the params of each.
        suite: its name.

    Raises:
        UserError: unknown suite, invalid params, or missing raw data.
    """
    params = trained["sweep"]
    ledger = Ledger(params.resources.ledger_root, suite)
    holder = find_holder(ledger)
    stages: dict[str, Any] = {}
    for stage, own in trained.items():
        ended = _read_ends(own, suite, stage, ledger)
        outcomes = Counter(outcome.value for outcome, _ in ended.ends)
        failed = Counter(cause for outcome, cause in ended.ends if outcome is Outcome.FAILED)
        progress = (read_progress(ledger, stage) if holder else None) or {}
        stages[stage] = {
            "planned": ended.planned,
            "outcomes": dict(sorted(outcomes.items())),
            "failures": dict(sorted(failed.items())),
            "half_finished": ended.half_finished,
            "running": progress.get("running", []),
            "devices": progress.get("devices", []),
            "eta_seconds": progress.get("eta_seconds") if progress.get("running") else None,
            "trials_per_hour": progress.get("trials_per_hour"),
        }
    return {"suite": suite, "holder": holder, "stages": stages, "disk_bytes": ledger.disk_bytes()}


@dataclass(frozen=True)
class _StageEnds:
    """Size of a plan, outcome and cause of its finished trials, and how many have only a resume point."""

    planned: int
    ends: list[tuple[Outcome, str | None]]
    half_finished: int


def _read_ends(params: Params, suite: str, stage: Stage, ledger: Ledger) -> _StageEnds:
    keys = read_planned_keys(params, suite, stage)
    if keys is not None:
        ends = {key: (outcome, cause) for key, outcome, cause in ledger.read_ends(keys)}
        left = set(keys) - ends.keys()
        half_finished = len(left & ledger.checkpoints.with_resume()) if left else 0  # to list all trials takes time
        return _StageEnds(len(keys), list(ends.values()), half_finished)
    from mtlsweep.sweep.plan.plan import open_plan  # imports torch, which takes seconds

    plan = open_plan(params, suite, stage)
    finished = plan.read().finished
    causes = [(one.state.outcome, one.state.cause) for one in finished]
    return _StageEnds(plan.count_planned(len(finished)), causes, plan.count_half_finished())
