"""Rebuild the MLflow runs of a suite from the ledger."""

from __future__ import annotations

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.record.mlflow import RefusalError, refusals
from mtlsweep.sweep.lease import hold_lease
from mtlsweep.sweep.plan.stage_inputs import open_stage, read_reference
from mtlsweep.sweep.stage import open_tracker


def rebuild_tracking(params: Params, suite: str) -> int:
    """Rewrite every finished trial of a suite to MLflow, from the ledger; return how many.

    Raises:
        UserError: a sweep of the suite is running, the server cannot be reached, or it refused some of the trials.
    """
    context = open_stage(params, suite, "baselines")
    ledger = context.ledger
    finished = list(ledger.read_all())
    reference = context.reference
    if any(one.trial.cell.role == "mtl" for one in finished):
        reference = read_reference(suite, reference.objectives)
    refused: dict[str, str] = {}
    with hold_lease(ledger, suite):
        for role, compared in (("stl", context.reference), ("mtl", reference)):
            tracker = open_tracker(params, ledger, suite, compared)
            tracker.drop_unfinished()
            for one in (one for one in finished if one.trial.cell.role == role):
                try:
                    tracker.forget(one)
                    tracker.finish(one, {})
                except RefusalError as refusal:
                    refused[one.trial.key] = refusal.reason
    if refused:
        raise UserError(
            f"{refusals(refused)}, and all other trials are written: fix the cause and run the same command again."
        )
    return len(finished)
