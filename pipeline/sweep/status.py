"""What `mtlsweep status` says: read from the ledger, the lease and the driver's progress file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pipeline.ledger import Ledger
from pipeline.params import Params
from pipeline.sweep.context import open_plan, progress_path
from pipeline.sweep.lease import read_holder
from pipeline.sweep.plan import Stage
from pipeline.sweep.progress import format_seconds, read_progress

STAGES: tuple[Stage, ...] = ("baselines", "sweep")


def read_status(params: Params, suite: str) -> Iterator[str]:
    """Yield the lines that say how far a suite is.

    Raises:
        UserError: unknown suite, wrong params, or data not prepared.
    """
    ledger = Ledger(params.resources.ledger_root, suite)
    holder = read_holder(ledger.directory)
    yield f"{suite}: " + (
        f"swept by process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
        if holder
        else "no sweep is running"
    )
    for stage in STAGES:
        plan = open_plan(params, suite, stage)
        planned = {trial.key for trial in plan.trials}
        outcomes = Counter(one.result.outcome.value for one in plan.read_finished())
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "none finished"
        half = len(planned & ledger.half_finished_keys())
        yield f"  {stage}: {outcomes.total()} of {len(planned)} ({counts}), {half} half finished"
        progress = read_progress(progress_path(ledger, stage)) if holder else None
        for running in progress["running"] if progress else ():
            delta_m = f", Delta_m {running['delta_m']:+.2f} %" if running["delta_m"] is not None else ""
            yield f"    running {running['name']}: epoch {running['epoch']} of {running['epochs']}{delta_m}"
        if progress and progress["running"] and progress["eta_seconds"] is not None:
            yield f"    about {format_seconds(progress['eta_seconds'])} left"
