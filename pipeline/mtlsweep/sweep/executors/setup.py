"""Settings shared by all trials of a sweep, for every executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setup:
    """Settings shared by all trials of a sweep.

    Attributes:
        data: absolute path of the prepared data on the driver's host.
        score: score of an epoch's metrics, lower is better; used only to select the weights to keep.
        device: `auto`, `cpu` or `cuda`.
        threads: number of torch threads of one trial.
        checkpoint_seconds: minimum time between two resume points.
        import_path: directory of the user's modules.
    """

    data: Path
    score: Callable[[Mapping[str, float]], float]
    device: str
    threads: int
    checkpoint_seconds: float
    import_path: str
