"""What to do about trials that failed, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mtlsweep.record.outputs import DVC_FILE
from mtlsweep.trials.trial import Trial


def stages_of(trials: Iterable[Trial]) -> list[str]:
    """Return the names of DVC's stages that train these trials, in their order.

    Fixed weights may be of the sweep or of the study `referee`, so both are named: a stage without anything to train takes seconds.
    """
    cells = [trial.cell for trial in trials]
    has = {
        "baselines": any(cell.role == "stl" for cell in cells),
        "sweep": any(cell.role == "mtl" for cell in cells),
        "referee": any(cell.weighting.name == "scalar" for cell in cells),
    }
    return [stage for stage, present in has.items() if present]


def training_command(suite: str, trials: Iterable[Trial]) -> str:
    """Return the command that trains forgotten trials again: DVC alone sees no change, since results are no dependency.

    In a folder without DVC it is that of Python.
    """
    if not Path(DVC_FILE).exists():
        return f"python -c \"import mtlsweep; mtlsweep.Project().run('{suite}')\""
    targets = " ".join(f"{stage}@{suite}" for stage in stages_of(trials))
    return f"dvc repro --single-item --force {targets} && dvc repro"


def retry_hint(suite: str, failed: Iterable[Trial]) -> str:
    """Return what to do when the cause of failures is corrected."""
    return f"correct the cause, then run `mtlsweep retry {suite} && {training_command(suite, failed)}`"
