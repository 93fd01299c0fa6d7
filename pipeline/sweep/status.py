"""What `mtlsweep status` says: read from the ledger, the lease and the driver's progress file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.ledger import Ledger
from pipeline.params import Params
from pipeline.sweep.context import open_plan, progress_path
from pipeline.sweep.lease import read_holder
from pipeline.sweep.plan import Stage
from pipeline.sweep.progress import format_seconds, read_progress
from pipeline.trials import Outcome

STAGES: tuple[Stage, ...] = ("baselines", "sweep")


def read_status(params: Params, suite: str) -> dict[str, Any]:
    """Return how far a suite is, as plain data.

    Raises:
        UserError: unknown suite, wrong params, or raw data that is missing.
    """
    params.suite(suite)
    ledger = Ledger(params.resources.ledger_root, suite)
    holder = read_holder(ledger.directory)
    stages: dict[str, Any] = {}
    for stage in STAGES:
        plan = open_plan(params, suite, stage)
        finished = plan.read().finished
        outcomes = Counter(one.result.outcome.value for one in finished)
        failed = Counter(one.result.cause for one in finished if one.result.outcome is Outcome.FAILED)
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


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `read_status` found as lines for people."""
    holder = status["holder"]
    sweeping = f"swept by process {holder['pid']} on {holder['host']} since {holder['since']}" if holder else ""
    yield f"{status['suite']}: {sweeping or 'no sweep is running'}, {status['disk_bytes'] / 1e6:.1f} MB in the ledger"
    for stage, content in status["stages"].items():
        counts = ", ".join(f"{count} {outcome}" for outcome, count in content["outcomes"].items()) or "none finished"
        total = sum(content["outcomes"].values())
        yield f"  {stage}: {total} of {content['planned']} ({counts}), {content['half_finished']} half finished"
        for cause, count in content["failures"].items():
            yield f"    {count} failed by cause `{cause}`"
        for running in content["running"]:
            delta_m = f", Delta_m {running['delta_m']:+.2f} %" if running["delta_m"] is not None else ""
            yield f"    running {running['name']}: epoch {running['epoch']} of {running['epochs']}{delta_m}"
        if content["eta_seconds"] is not None:
            rate = f" at {content['trials_per_hour']:.0f} trials an hour" if content["trials_per_hour"] else ""
            yield f"    about {format_seconds(content['eta_seconds'])} left{rate}"
