"""Data for `mtlsweep status`, from the ledger, the lease and the driver's progress file."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.display import read_progress
from mtlsweep.sweep.lease import read_holder
from mtlsweep.sweep.plan.cells import Stage
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.sweep.plan.stage_inputs import progress_path
from mtlsweep.trials.state import Outcome

STAGES: tuple[Stage, ...] = ("baselines", "sweep")


def read_status(params: Params, suite: str) -> dict[str, Any]:
    """Return the progress of a suite as plain data.

    Raises:
        UserError: unknown suite, invalid params, or missing raw data.
    """
    params.suite(suite)
    ledger = Ledger(params.resources.ledger_root, suite)
    holder = read_holder(ledger.directory)
    stages: dict[str, Any] = {}
    for stage in STAGES:
        plan = open_plan(params, suite, stage)
        finished = plan.read().finished
        outcomes = Counter(one.state.outcome.value for one in finished)
        failed = Counter(one.state.cause for one in finished if one.state.outcome is Outcome.FAILED)
        progress = (read_progress(progress_path(ledger, stage)) if holder else None) or {}
        stages[stage] = {
            "planned": plan.count_planned(len(finished)),
            "outcomes": dict(sorted(outcomes.items())),
            "failures": dict(sorted(failed.items())),
            "half_finished": plan.count_half_finished(),
            "running": progress.get("running", []),
            "eta_seconds": progress.get("eta_seconds") if progress.get("running") else None,
            "trials_per_hour": progress.get("trials_per_hour"),
        }
    return {"suite": suite, "holder": holder, "stages": stages, "disk_bytes": ledger.disk_bytes()}
