"""Objective values of a search: metrics of a trial at the epoch with its lowest validation Delta_m."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mtlsweep.analysis.objectives import counted, tasks_of
from mtlsweep.sweep.reference import Reference
from mtlsweep.trials.metric_names import delta_m_of
from mtlsweep.trials.state import FinishedTrial, Outcome

Kind = Literal["delta_m", "metrics"]


@dataclass(frozen=True)
class Targets:
    """One value per task (`delta_m`: its validation Delta_m) or per metric that counts (`metrics`: its validation value).

    Attributes:
        reference: baseline values for Delta_m, which selects the epoch for both kinds.
        kind: `delta_m` or `metrics`.
    """

    reference: Reference
    kind: Kind = "delta_m"

    @property
    def names(self) -> list[str]:
        """Display name of each value."""
        objectives = counted(self.reference.objectives)
        if self.kind == "delta_m":
            return [f"val delta_m {task}" for task in tasks_of(objectives)]
        return [f"val {objective.label}" for objective in objectives]

    @property
    def directions(self) -> list[Literal["minimize", "maximize"]]:
        """`minimize` or `maximize` for each value."""
        if self.kind == "delta_m":
            return ["minimize"] * len(self.names)
        return ["maximize" if o.higher_is_better else "minimize" for o in counted(self.reference.objectives)]

    def of(self, epochs: Sequence[Mapping[str, float]]) -> list[float] | None:
        """Return the values after these epochs, or None if any value is not finite."""
        best = self.reference.best_epoch(epochs)
        if best is None:
            return None
        objectives = counted(self.reference.objectives)
        if self.kind == "delta_m":
            values = [float(best[delta_m_of(task)]) for task in tasks_of(objectives)]
        else:
            chosen = epochs[int(str(best.name))]
            values = [chosen.get(str(o.of("val")), math.nan) for o in objectives]
        return values if all(map(math.isfinite, values)) else None

    def costs(self, epochs: Sequence[Mapping[str, float]]) -> list[float] | None:
        """Return the values with signs such that lower is better, or None."""
        values = self.of(epochs)
        if values is None:
            return None
        return [-v if d == "maximize" else v for v, d in zip(values, self.directions, strict=True)]

    def mean(self, replicates: Sequence[FinishedTrial]) -> list[float] | None:
        """Return the mean over the replicates of a cell, or None if any is not done or not finite."""
        rows = []
        for one in replicates:
            values = self.of([record.metrics for record in one.state.curve])
            if one.state.outcome is not Outcome.DONE or values is None:
                return None
            rows.append(values)
        return [sum(column) / len(rows) for column in zip(*rows, strict=True)]
