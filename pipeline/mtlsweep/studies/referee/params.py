"""`studies.referee` of params.yaml."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mtlsweep.params.studies import StudySection


class Referee(StudySection):
    """Fixed task weights that are searched as a weighting is, and are the reference for every weighting.

    Attributes:
        enabled: off by default, as the study trains about one and a half times as much as the sweep.
        weights: how many fixed weights are spread over the simplex, for each optimizer; None: as many as the sweep has
            weightings.
        refined: how many follow for each optimizer where the front of the first is thin; None: half of `weights`, rounded
            down.
        margin: a weighting is inside as long as it is better by no more than this in no task, in points of the task's
            Delta_m (percent of the single-task result).
    """

    per_suite: ClassVar[bool] = True
    trains: ClassVar[bool] = True

    enabled: bool = False
    weights: int | None = Field(default=None, ge=1)
    refined: int | None = Field(default=None, ge=0)
    margin: float = Field(default=1.0, ge=0, allow_inf_nan=False)
