"""`studies.gradients` of params.yaml."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mtlsweep.params.studies import StudySection
from mtlsweep.params.suite import NamedCell


class Gradients(StudySection):
    """Gradient conflicts while a cell trains: between tasks of one sample, and between samples of one task.

    Attributes:
        cells: what is trained and measured; an empty list means the best equal-weights (EW) cell.
        seeds: how many replicates of each cell.
        every: iterations between two measurements.
        samples, tasks: how many of each are drawn at random for a measurement.
        epochs: number of epochs to measure, from the first; None means all.
        by_layer: whether to measure each parameter tensor separately, too.
        shares: whether to measure the share of the current gradient in the update, too (see `shares`).
        memory_mb: memory for gradients; if they need more, they are computed piece by piece.
    """

    per_suite: ClassVar[bool] = True

    enabled: bool = True
    cells: tuple[NamedCell, ...] = ()
    seeds: int = Field(default=1, ge=1)
    every: int = Field(default=5, ge=1)
    samples: int = Field(default=8, ge=2)
    tasks: int = Field(default=8, ge=2)
    epochs: Annotated[int, Field(ge=1)] | None = None
    by_layer: bool = False
    shares: bool = False
    memory_mb: float = Field(default=512, gt=0)
