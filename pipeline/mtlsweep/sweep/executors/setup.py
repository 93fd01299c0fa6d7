"""What every trial of a sweep is given, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setup:
    """What every trial of a sweep is given.

    Attributes:
        data: absolute path of the prepared data on the driver's host.
        score: of an epoch's metrics, lower is better; decides only which weights are kept.
        device: `auto`, `cpu` or `cuda`.
        threads: torch threads of one trial.
        checkpoint_seconds: least time between two resume points.
        import_path: directory of the user's own modules.
    """

    data: Path
    score: Callable[[Mapping[str, float]], float]
    device: str
    threads: int
    checkpoint_seconds: float
    import_path: str
