"""List failed trials, and retry them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.sweep.control.clean_up import open_ledger
from mtlsweep.sweep.lease import hold_lease
from mtlsweep.trials.state import FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial


@dataclass(frozen=True)
class Failure:
    """A trial that failed or diverged.

    Attributes:
        key, name: of the trial.
        outcome: `failed` or `diverged`.
        cause: one word that groups failures.
        detail: description, with the traceback of an exception.
        repeat: the command that runs only this trial.
    """

    key: str
    name: str
    outcome: str
    cause: str
    detail: str
    repeat: str


def list_failures(params: Params, suite: str) -> list[Failure]:
    """Return the failed and diverged trials of a suite, sorted by cause."""
    return failures_among(open_ledger(params, suite).read_all())


def failures_among(finished: Iterable[FinishedTrial]) -> list[Failure]:
    """Return those of some trials that failed or diverged, sorted by cause."""
    failures = [
        Failure(
            key=one.trial.key,
            name=one.trial.name,
            outcome=one.state.outcome.value,
            cause=one.state.cause or "",
            detail=one.state.detail or "",
            repeat=f"mtlsweep run {one.trial.key}",
        )
        for one in finished
        if one.state.outcome in (Outcome.FAILED, Outcome.DIVERGED)
    ]
    return sorted(failures, key=lambda failure: (failure.outcome, failure.cause, failure.name))


def retry(params: Params, suite: str, keys: Sequence[str], cause: str | None) -> list[Trial]:
    """Delete the records of failed trials, so that the next run trains them again; return the trials.

    Args:
        params: of the study.
        suite: name of the suite.
        keys: trial keys or their prefixes; empty means all failed trials.
        cause: select only failures with this cause.

    Raises:
        UserError: a key matches no failed trial, or a sweep of the suite is running.
    """
    ledger = open_ledger(params, suite)
    with hold_lease(ledger, suite):  # else a sweep could finish one of them meanwhile
        failed = [one for one in ledger.read_all() if one.state.outcome is Outcome.FAILED]
        for key in keys:
            if not any(one.trial.key.startswith(key) for one in failed):
                raise UserError(
                    f"no failed trial of `{suite}` starts with `{key}`; run `mtlsweep failures {suite}` to list them."
                )
        chosen = [
            one
            for one in failed
            if (cause is None or one.state.cause == cause)
            and (not keys or any(one.trial.key.startswith(key) for key in keys))
        ]
        from mtlsweep.record.mlflow import Tracker  # slow import

        tracker = Tracker(params.resources.tracking_uri, suite, ledger.id)
        for one in chosen:
            tracker.forget(one)
            ledger.forget(one.trial.key)
    return [one.trial for one in chosen]
