"""What the steps of an epoch were like, summed on the host without any transfer of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from pipeline.weighting import Weights

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
        self._sums = {name: torch.zeros(count, dtype=torch.float64) for name in ("loss", "weight", "head_weight")}
        self._norms = torch.zeros(count, dtype=torch.float64)
        self._cosines = torch.zeros(count, count, dtype=torch.float64)
        self._steps = {"losses": 0, "weights": 0, "gramians": 0}

    def add(self, losses: Tensor, weights: Weights | None, gramian: Tensor | None) -> None:
        """Take in one step: `losses` [T], effective weights and `gramian` [T, T] where the method has them."""
        self._sums["loss"] += losses
        self._steps["losses"] += 1
        if weights is not None:
            self._sums["weight"] += weights.shared
            self._sums["head_weight"] += weights.heads
            self._steps["weights"] += 1
        if gramian is not None:
            norms = gramian.diagonal().sqrt()
            self._norms += norms
            scale = norms.clamp(min=torch.finfo(torch.float64).tiny)
            self._cosines += gramian / scale[:, None] / scale
            self._steps["gramians"] += 1

    def mean_losses(self) -> Tensor:
        """Return the mean loss of each task [T] since the last `read`."""
        return self._sums["loss"] / max(self._steps["losses"], 1)

    def read(self) -> dict[str, float]:
        """Return the means by name (`train/left/loss`, `train/cosine/left-right`, ...) and start anew."""
        figures = self._per_task("loss", self.mean_losses()) if self._steps["losses"] else {}
        if self._steps["weights"]:
            for name in ("weight", "head_weight"):
                figures |= self._per_task(name, self._sums[name] / self._steps["weights"])
        if self._steps["gramians"]:
            figures |= self._per_task("gradient_norm", self._norms / self._steps["gramians"])
            figures |= self._cosine_figures(self._cosines / self._steps["gramians"])
        self._clear()
        return figures

    def _per_task(self, name: str, values: Tensor) -> dict[str, float]:
        return {f"train/{task}/{name}": value for task, value in zip(self._tasks, values.tolist(), strict=True)}

    def _cosine_figures(self, cosines: Tensor) -> dict[str, float]:
        pairs = list(combinations(range(len(self._tasks)), 2))
        if not pairs:
            return {}
        first, second = zip(*pairs, strict=True)
        values = cosines[list(first), list(second)].tolist()
        figures = {"train/cosine/mean": sum(values) / len(values), "train/cosine/least": min(values)}
        if len(pairs) <= PAIRS_SHOWN:
            names = (f"train/cosine/{self._tasks[i]}-{self._tasks[j]}" for i, j in pairs)
            figures |= dict(zip(names, values, strict=True))
        return figures

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint inside an epoch."""
        return {"sums": self._sums, "norms": self._norms, "cosines": self._cosines, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._sums, self._norms = dict(state["sums"]), state["norms"]
        self._cosines, self._steps = state["cosines"], dict(state["steps"])
