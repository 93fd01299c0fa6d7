"""Live Delta_m of a running sweep, relative to the single-task values available now.

It is used for the live display (`val/delta_m`), for keeping weights, and for a race. It is never part
of a recorded result: analysis computes Delta_m again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mtlsweep.analysis.delta_m import delta_m, relative_change
from mtlsweep.analysis.objectives import Objective, counted
from mtlsweep.files import content_hash, encode_float
from mtlsweep.trials.metric_names import DELTA_M, LOSS, MetricName, live_delta_m


@dataclass(frozen=True)
class Reference:
    """Single-task values of each objective, by split; without values Delta_m is not defined.

    Attributes:
        objectives: the metrics of the suite's tasks.
        values: for `val` and `test`, the baseline of each objective, by name.
        noise: standard deviation of validation Delta_m over seeds of single-task training, by epoch, in percent.
    """

    objectives: tuple[Objective, ...]
    values: Mapping[str, Mapping[str, float]]
    noise: tuple[float, ...] = ()

    @property
    def key(self) -> str:
        """Content hash of the values: equal references give equal Delta_m."""
        return content_hash(
            {split: {k: encode_float(v) for k, v in values.items()} for split, values in self.values.items()}
        )

    def seed_noise(self, epoch: int) -> float:
        """Return `noise` at an epoch (1-based), or at the last known epoch after that; 0 if it was not measured."""
        return self.noise[min(epoch, len(self.noise)) - 1] if self.noise else 0.0

    def compare(self, epochs: Sequence[Mapping[str, float]], split: str) -> pd.DataFrame:
        """Return Delta_m of each epoch: columns `delta_m`, `delta_m_<task>`, ..., in percent."""
        columns = {}
        for objective in self.objectives:
            name = str(objective.of(split))
            columns[objective.name] = [epoch.get(name, math.nan) for epoch in epochs]
        return delta_m(pd.DataFrame(columns), self.values[split], self.objectives)

    def derive(self, epochs: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
        """Return `val/delta_m` and `test/delta_m` of each epoch; empty without baselines."""
        if not self.values:
            return [{} for _ in epochs]
        compared = {live_delta_m(split): self.compare(epochs, split)[DELTA_M].tolist() for split in self.values}
        return [{name: values[row] for name, values in compared.items()} for row in range(len(epochs))]

    def score(self, epoch: Mapping[str, float]) -> float:
        """Return validation Delta_m of an epoch, or without baselines the mean validation loss."""
        if self.values:  # called every epoch: no data frame, for speed
            changes = [
                relative_change(epoch.get(str(o.of("val")), math.nan), self.values["val"][o.name], o)
                for o in counted(self.objectives)
            ]
            return sum(changes) / len(changes)
        losses = [value for text, value in epoch.items() if _is_validation_loss(MetricName.parse(text))]
        return sum(losses) / len(losses)

    def best_epoch(self, epochs: Sequence[Mapping[str, float]]) -> pd.Series | None:
        """Return Delta_m, as `compare` does, at the epoch where validation Delta_m is lowest; None if it is never finite."""
        compared = self.compare(epochs, "val")
        finite = compared[compared[DELTA_M].map(math.isfinite)]
        return None if finite.empty else finite.loc[finite[DELTA_M].idxmin()]


def _is_validation_loss(name: MetricName | None) -> bool:
    return name is not None and name.split == "val" and name.metric == LOSS


def seed_noise(curves: pd.DataFrame, cells: Mapping[str, Sequence[str]], reference: Reference) -> tuple[float, ...]:
    """Return the standard deviation of Delta_m over seeds, by epoch, in percent.

    It assumes independent metrics: with s_k the standard deviation of metric k over the seeds of
    its task's baseline, relative to the baseline B_k, it is 100 / K sqrt(sum of s_k^2 over the K metrics).

    Args:
        curves: raw curves of the baselines.
        cells: trial keys of the replicates of each task's selected baseline.
        reference: the baselines' values.

    Returns:
        Empty if a task has only one seed.
    """
    counted = [objective for objective in reference.objectives if objective.in_delta_m]
    if any(len(cells[objective.task]) < 2 for objective in counted):
        return ()
    validation = curves[curves["split"] == "val"]
    variances = []
    for objective in counted:
        own = validation["trial_key"].isin(cells[objective.task]) & (validation["metric"] == objective.metric)
        spread = validation[own & (validation["task"] == objective.task)].groupby("epoch")["value"].std()
        variances.append((spread / reference.values["val"][objective.name]) ** 2)
    total = pd.concat(variances, axis=1).sum(axis=1).sort_index()
    return tuple(float(value) for value in 100 / len(counted) * total**0.5)
