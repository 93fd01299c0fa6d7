"""Fixed weights, chosen by the user or searched for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("scalar")
class ScalarWeighting(LossWeighting):
    """One constant weight per task: `scalar: {left: 1, right: 0.5, mass: 2}`.

    Args:
        weights: by task name, one for every task.

    Raises:
        UserError: a task without a weight, or a weight for no task.
    """

    facts = Facts(
        paper="Xin, Ghorbani, Gilmer, et al. 2022, arXiv 2209.11379",
        scale="sum of w_i g_i, w_i given",
        heads="same weight",
    )

    per_task: ClassVar = {"_weights": (0,)}

    def __init__(
        self, tasks: Sequence[str], generator: torch.Generator, **weights: Annotated[float, Field(ge=0)]
    ) -> None:
        super().__init__(tasks, generator)
        objection = self.objection(weights, "", tasks)
        if objection is not None:
            raise UserError(f"weighting `scalar` {objection}.")
        self._weights = torch.tensor([weights[task] for task in tasks], dtype=torch.float64)

    @classmethod
    def objection(cls, options: Mapping[str, Any], optimizer: str, tasks: int | Sequence[str]) -> str | None:
        named = [name for name in options if name not in cls.allows]
        complete = len(named) == tasks if isinstance(tasks, int) else set(named) == set(tasks)
        if complete:
            return None
        wanted = f"{tasks} tasks" if isinstance(tasks, int) else f"the tasks {', '.join(tasks)}"
        return f"needs a weight for each of {wanted}; found weights for {', '.join(named) or 'none'}"

    def weigh(self, losses: Tensor) -> Tensor:
        return self._weights.clone()
