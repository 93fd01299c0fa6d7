"""Rebuild the MLflow runs of a suite from the ledger."""

from __future__ import annotations

from mtlsweep.params.params import Params
from mtlsweep.sweep.lease import Lease
from mtlsweep.sweep.plan.stage_inputs import open_stage, read_reference
from mtlsweep.sweep.stage import open_tracker


def rebuild_tracking(params: Params, suite: str) -> int:
    """Rewrite every finished trial of a suite to MLflow, from the ledger; return how many.

    Raises:
        UserError: a sweep of the suite is running, or the server cannot be reached.
    """
    context = open_stage(params, suite, "baselines")
    ledger = context.ledger
    finished = list(ledger.read_all())
    reference = context.reference
    if any(one.trial.cell.role == "mtl" for one in finished):
        reference = read_reference(suite, reference.objectives)
    with Lease(ledger.directory, suite):
        for role, compared in (("stl", context.reference), ("mtl", reference)):
            tracker = open_tracker(params, suite, compared)
            tracker.drop_unfinished()
            for one in (one for one in finished if one.trial.cell.role == role):
                tracker.forget(one.trial.key)
                tracker.finish(one, {})
    return len(finished)
