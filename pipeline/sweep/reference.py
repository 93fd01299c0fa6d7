"""What a sweep compares with while it runs: the single-task values at hand.

They decide what people see live (`val/delta_m`), which weights are kept and what a race trains
further. They never enter a recorded result: analysis computes Delta_m anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.analysis.delta_m import delta_m
from pipeline.analysis.objectives import Objective
from pipeline.files import content_hash, encode_float


@dataclass(frozen=True)
class Reference:
    """Single-task values of each objective, by split; without values Delta_m is not defined.

    Attributes:
        objectives: the metrics of the suite's tasks.
        values: for `val` and `test`, the baseline of each objective by its name.
    """

    objectives: tuple[Objective, ...]
    values: Mapping[str, Mapping[str, float]]

    @property
    def key(self) -> str:
        """Content hash of the values: equal references give equal Delta_m."""
        return content_hash(
            {split: {k: encode_float(v) for k, v in values.items()} for split, values in self.values.items()}
        )

    def compare(self, epochs: Sequence[Mapping[str, float]], split: str) -> pd.DataFrame:
        """Return Delta_m of each epoch: columns `delta_m`, `delta_m_<task>`, ..., in percent."""
        columns = {
            o.name: [epoch.get(f"{split}/{o.task}/{o.metric}", math.nan) for epoch in epochs] for o in self.objectives
        }
        return delta_m(pd.DataFrame(columns), self.values[split], self.objectives)

    def derive(self, epochs: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
        """Return `val/delta_m` and `test/delta_m` of each epoch; nothing when there is no baseline."""
        if not self.values:
            return [{} for _ in epochs]
        compared = {f"{split}/delta_m": self.compare(epochs, split)["delta_m"].tolist() for split in self.values}
        return [{name: values[row] for name, values in compared.items()} for row in range(len(epochs))]

    def score(self, epoch: Mapping[str, float]) -> float:
        """Return validation Delta_m of an epoch, or without baselines the mean validation loss."""
        if self.values:
            return float(self.compare([epoch], "val")["delta_m"].iloc[0])
        losses = [value for name, value in epoch.items() if name.startswith("val/") and name.endswith("/loss")]
        return sum(losses) / len(losses)

    def best_epoch(self, epochs: Sequence[Mapping[str, float]]) -> pd.Series | None:
        """Return Delta_m, as `compare` does, at the epoch where validation Delta_m is lowest; None if it never is finite."""
        compared = self.compare(epochs, "val")
        finite = compared[compared["delta_m"].map(math.isfinite)]
        return None if finite.empty else finite.loc[finite["delta_m"].idxmin()]
