"""What to do about trials that failed, for messages."""

from __future__ import annotations

from collections.abc import Iterable

from mtlsweep.trials.trial import Trial


def stages_of(trials: Iterable[Trial]) -> list[str]:
    """Return the names of the training stages that have these trials, in their order."""
    roles = {trial.cell.role for trial in trials}
    return [stage for stage, role in (("baselines", "stl"), ("sweep", "mtl")) if role in roles]


def training_command(suite: str, trials: Iterable[Trial]) -> str:
    """Return the command that trains forgotten trials again: DVC alone sees no change, since results are no dependency."""
    targets = " ".join(f"{stage}@{suite}" for stage in stages_of(trials))
    return f"dvc repro --single-item --force {targets} && dvc repro"


def retry_hint(suite: str, failed: Iterable[Trial]) -> str:
    """Return what to do when the cause of failures is corrected."""
    return f"correct the cause, then run `mtlsweep retry {suite} && {training_command(suite, failed)}`"
