"""Live Delta_m of a running sweep, relative to the single-task values available now.

It is used for the live display (`val/delta_m`), for keeping weights, and for a race. It is never part
of a recorded result: analysis computes Delta_m again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtlsweep.analysis.delta_m import delta_m, mean_change, relative_change
from mtlsweep.analysis.objectives import Objective, counted
from mtlsweep.files import content_hash, encode_float
from mtlsweep.trials.metric_names import DELTA_M, LOSS, MetricName, column_of, live_delta_m


@dataclass(frozen=True)
class Reference:
    """Single-task values of each objective, by split; without values Delta_m is not defined.

    Attributes:
        objectives: the metrics of the suite's tasks.
        values: for `val` and `test`, the baseline of each objective, by name.
        noise: standard deviation of validation Delta_m over seeds of single-task training, in percent; 0 if unknown.
    """

    objectives: tuple[Objective, ...]
    values: Mapping[str, Mapping[str, float]]
    noise: float = 0.0

    @property
    def key(self) -> str:
        """Content hash of the values: equal references give equal Delta_m."""
        return content_hash(
            {split: {k: encode_float(v) for k, v in values.items()} for split, values in self.values.items()}
        )

    def compare(self, epochs: Sequence[Mapping[str, float]], split: str) -> pd.DataFrame:
        """Return Delta_m of each epoch: columns `delta_m`, `delta_m_<task>`, ..., in percent."""
        return delta_m(pd.DataFrame(self._values(epochs, split)), self.values[split], self.objectives)

    def derive(self, epochs: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
        """Return `val/delta_m` and `test/delta_m` of each epoch; empty without baselines."""
        if not self.values:
            return [{} for _ in epochs]
        compared = {  # called every epoch: no data frame, for speed
            live_delta_m(split): mean_change(self._values(epochs, split), baseline, self.objectives).tolist()
            for split, baseline in self.values.items()
        }
        return [{name: values[row] for name, values in compared.items()} for row in range(len(epochs))]

    def _values(self, epochs: Sequence[Mapping[str, float]], split: str) -> dict[str, np.ndarray]:
        """Return the values of each objective, one per epoch; NaN where an epoch lacks it."""
        names = {objective.name: str(objective.of(split)) for objective in self.objectives}
        return {name: np.array([epoch.get(text, math.nan) for epoch in epochs]) for name, text in names.items()}

    def score(self, epoch: Mapping[str, float]) -> float:
        """Return validation Delta_m of an epoch, or without baselines the mean validation loss."""
        if self.values:  # called every epoch: no data frame, for speed
            changes = [
                relative_change(epoch.get(str(o.of("val")), math.nan), self.values["val"][o.name], o)
                for o in counted(self.objectives)
            ]
            return sum(changes) / len(changes)
        losses = [value for text, value in epoch.items() if _is_validation_loss(MetricName.parse(text))]
        return sum(losses) / len(losses) if losses else math.nan

    def at_best(self, epochs: Sequence[Mapping[str, float]]) -> tuple[int, dict[str, float]] | None:
        """Return the position of the epoch that counts, and its figures by the names of columns of `trials.parquet`.

        It is the first with the lowest validation Delta_m, and without baselines the one with the lowest validation loss.

        Returns:
            None if the criterion is finite at no epoch.
        """
        scores = self.compare(epochs, "val")[DELTA_M] if self.values else pd.Series([self.score(one) for one in epochs])
        best = _lowest(scores)
        if best is None:
            return None
        names = [objective.of(split) for split in ("val", "test") for objective in self.objectives]
        figures = {name.column: epochs[best][str(name)] for name in names if str(name) in epochs[best]}
        deltas = {column_of(split, DELTA_M): self.compare([epochs[best]], split)[DELTA_M] for split in self.values}
        return best, figures | {column: delta.item() for column, delta in deltas.items()}

    def best_epoch(self, epochs: Sequence[Mapping[str, float]]) -> pd.Series | None:
        """Return Delta_m, as `compare` does, at the epoch where validation Delta_m is lowest; None if it is never finite."""
        compared = self.compare(epochs, "val")
        best = _lowest(compared[DELTA_M])
        return None if best is None else compared.loc[best]


def _lowest(scores: pd.Series) -> int | None:
    """Return the position of the first of the lowest finite scores; None if none is finite."""
    finite = scores[scores.map(math.isfinite)]
    return None if finite.empty else int(finite.idxmin())


def _is_validation_loss(name: MetricName | None) -> bool:
    return name is not None and name.split == "val" and name.metric == LOSS


def seed_noise(curves: pd.DataFrame, replicates: pd.DataFrame, reference: Reference) -> float:
    """Return the standard deviation over seeds of validation Delta_m of the baselines, in percent.

    Delta_m is that of all tasks' baselines of one seed together, so that what the metrics of a task have in common
    counts. As in a race, the lowest up to an epoch is compared. Variances are averaged over epochs, because with
    two or three seeds that of one epoch is hardly more than chance.

    Args:
        curves: raw curves of the baselines.
        replicates: trial_key, task and seed of each task's selected baseline.
        reference: the baselines' values.

    Returns:
        0 with a single seed.
    """
    names = {(o.task, o.metric): o.name for o in counted(reference.objectives)}
    rows = curves[curves["split"] == "val"].merge(replicates[["trial_key", "task", "seed"]], on=["trial_key", "task"])
    rows["objective"] = [names.get(pair) for pair in zip(rows["task"], rows["metric"], strict=True)]
    values = rows.dropna(subset="objective").pivot(index=["epoch", "seed"], columns="objective", values="value")
    by_seed = delta_m(values, reference.values["val"], reference.objectives)[DELTA_M].unstack("seed")
    variance = by_seed.sort_index().cummin().var(axis="columns", ddof=1).mean()
    return math.sqrt(variance) if variance > 0 else 0.0
