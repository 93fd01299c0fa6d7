"""Statistics of the steps of an epoch, summed on the host without an extra transfer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlsweep.methods.weighting import Weights
from mtlsweep.trials.metric_names import SKIPPED, MetricName, cosine, cosine_between

PAIRS_SHOWN = 45
"""Above this many pairs of tasks (T > 10) only the mean and the least cosine are reported."""


class Meter:
    """Sums of losses, effective weights and Gramian statistics since the last `read`.

    Args:
        tasks: names of the T tasks.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = tuple(tasks)
        self._clear()

    def _clear(self) -> None:
        count = len(self._tasks)
        self._sums = {name: np.zeros(count) for name in ("loss", "weight", "head_weight", "gradient_norm")}
        self._sums["cosine"] = np.zeros((count, count))
        self._sums["missed"] = np.zeros((count, count))
        self._steps = {"losses": 0, "weights": 0, "gramians": 0, "skipped": 0}

    def skip(self) -> None:
        """Count a step that was skipped because no task has a label in its batch."""
        self._steps["skipped"] += 1

    def add(
        self,
        losses: Tensor,
        weights: Weights | None,
        gramian: Tensor | None,
        present: Sequence[int] | None = None,
    ) -> None:
        """Add one step: `losses` [T], effective weights and `gramian` [T, T] where the method has them.

        With `present`, T counts the tasks at these positions only, and of the others nothing is recorded.
        """
        one: Any = slice(None) if present is None else list(present)
        pairs: Any = one if present is None else np.ix_(present, present)
        self._sums["loss"][one] += losses.numpy()
        self._steps["losses"] += 1
        if present is not None:
            missed = np.ones_like(self._sums["missed"])
            missed[pairs] = 0.0
            self._sums["missed"] += missed
        if weights is not None:
            self._sums["weight"][one] += weights.shared.numpy()
            self._sums["head_weight"][one] += weights.heads.numpy()
            self._steps["weights"] += 1
        if gramian is not None:
            products = gramian.numpy()
            norms = np.sqrt(products.diagonal())
            self._sums["gradient_norm"][one] += norms
            scale = np.maximum(norms, np.finfo(np.float64).tiny)
            self._sums["cosine"][pairs] += products / scale[:, None] / scale
            self._steps["gramians"] += 1

    def mean_losses(self) -> Tensor:
        """Return the mean loss of each task [T] since the last `read`; NaN for a task that took part in no step."""
        return torch.from_numpy(self._mean("loss", self._steps["losses"]))

    def read(self) -> dict[str, float]:
        """Return the means by name (`train/left/loss`, `train/cosine/left-right`, ...) and reset the sums."""
        figures: dict[str, float] = {}
        for count, names in (
            ("losses", ("loss",)),
            ("weights", ("weight", "head_weight")),
            ("gramians", ("gradient_norm",)),
        ):
            if self._steps[count]:
                for name in names:
                    figures |= self._per_task(name, self._mean(name, self._steps[count]))
        if self._steps["gramians"]:
            figures |= self._cosine_figures(self._mean("cosine", self._steps["gramians"]))
        if self._steps["skipped"]:
            figures[str(SKIPPED)] = float(self._steps["skipped"])
        self._clear()
        return figures

    def _mean(self, name: str, steps: int) -> np.ndarray:
        """Return the mean of a sum over the steps that a task, or both of a pair, took part in; NaN without such a step."""
        sums, missed = self._sums[name], self._sums["missed"]
        taken = steps - (missed if sums.ndim == 2 else missed.diagonal())
        return np.where(taken > 0, sums / np.maximum(taken, 1.0), np.nan)

    def _per_task(self, name: str, values: np.ndarray) -> dict[str, float]:
        return {
            str(MetricName("train", task, name)): value
            for task, value in zip(self._tasks, values.tolist(), strict=True)
            if not math.isnan(value)
        }

    def _cosine_figures(self, cosines: np.ndarray) -> dict[str, float]:
        every = combinations(range(len(self._tasks)), 2)
        pairs = {pair: value for pair in every if not math.isnan(value := float(cosines[pair]))}
        if not pairs:
            return {}
        figures = {cosine("mean"): sum(pairs.values()) / len(pairs), cosine("least"): min(pairs.values())}
        if len(self._tasks) * (len(self._tasks) - 1) // 2 <= PAIRS_SHOWN:
            figures |= {cosine_between(self._tasks[i], self._tasks[j]): value for (i, j), value in pairs.items()}
        return {str(name): value for name, value in figures.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint in the middle of an epoch."""
        return {
            "sums": {name: torch.from_numpy(sums.copy()) for name, sums in self._sums.items()},
            "steps": dict(self._steps),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._clear()
        self._sums |= {name: sums.numpy().copy() for name, sums in state["sums"].items()}
        self._steps |= state["steps"]
