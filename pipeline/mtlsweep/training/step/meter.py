"""Statistics of the steps of an epoch, summed on the host without an extra transfer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlsweep.methods.weighting import Weights
from mtlsweep.trials.metric_names import MetricName, cosine, cosine_between

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
        self._steps = {"losses": 0, "weights": 0, "gramians": 0}

    def add(self, losses: Tensor, weights: Weights | None, gramian: Tensor | None) -> None:
        """Add one step: `losses` [T], effective weights and `gramian` [T, T] where the method has them."""
        self._sums["loss"] += losses.numpy()
        self._steps["losses"] += 1
        if weights is not None:
            self._sums["weight"] += weights.shared.numpy()
            self._sums["head_weight"] += weights.heads.numpy()
            self._steps["weights"] += 1
        if gramian is not None:
            products = gramian.numpy()
            norms = np.sqrt(products.diagonal())
            self._sums["gradient_norm"] += norms
            scale = np.maximum(norms, np.finfo(np.float64).tiny)
            self._sums["cosine"] += products / scale[:, None] / scale
            self._steps["gramians"] += 1

    def mean_losses(self) -> Tensor:
        """Return the mean loss of each task [T] since the last `read`."""
        return torch.from_numpy(self._sums["loss"] / max(self._steps["losses"], 1))

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
                    figures |= self._per_task(name, self._sums[name] / self._steps[count])
        if self._steps["gramians"]:
            figures |= self._cosine_figures(self._sums["cosine"] / self._steps["gramians"])
        self._clear()
        return figures

    def _per_task(self, name: str, values: np.ndarray) -> dict[str, float]:
        return {
            str(MetricName("train", task, name)): value
            for task, value in zip(self._tasks, values.tolist(), strict=True)
        }

    def _cosine_figures(self, cosines: np.ndarray) -> dict[str, float]:
        pairs = list(combinations(range(len(self._tasks)), 2))
        if not pairs:
            return {}
        first, second = zip(*pairs, strict=True)
        values = cosines[list(first), list(second)].tolist()
        figures = {cosine("mean"): sum(values) / len(values), cosine("least"): min(values)}
        if len(pairs) <= PAIRS_SHOWN:
            names = (cosine_between(self._tasks[i], self._tasks[j]) for i, j in pairs)
            figures |= dict(zip(names, values, strict=True))
        return {str(name): value for name, value in figures.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint in the middle of an epoch."""
        return {
            "sums": {name: torch.from_numpy(sums.copy()) for name, sums in self._sums.items()},
            "steps": dict(self._steps),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._sums = {name: sums.numpy().copy() for name, sums in state["sums"].items()}
        self._steps = dict(state["steps"])
