"""GO4Align: tasks of similar risk form groups, and a group's tasks share one weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.kmeans import cluster_means
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("go4align")
class GroupAlignment(LossWeighting):
    """Risk-guided weights of the tasks, each replaced by the mean of its group.

    In each step p_i <- p_i exp(-step_size L_i), made to sum to 1, p_i = 1/T at first; the tasks' indicators are
    p_i (sum_j L_j) / L_i. K-means splits them into `groups` groups, and the weight of a task is the mean indicator
    of its group: class `GO4ALIGN` of the official code.

    Deviations: the indicators are numbers on a line, for which the best groups are found exactly; the official code
    starts k-means at random tasks and stops at a local optimum, on the device. With fewer tasks than
    groups each task is a group of its own.

    Args:
        groups: how many.
        step_size: how fast tasks with large losses lose weight.
    """

    facts = Facts(
        paper="Shen, Wang, Xiao, et al. 2024, arXiv 2404.06486",
        scale="sum of w_i g_i, w_i the group's mean of p_i sum(L) / L_i",
        heads="same weight",
        code="https://github.com/autumn9999/GO4Align",
    )
    needs_positive_losses = "always"
    per_task: ClassVar = {"logits": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        groups: Annotated[int, Field(ge=1)] = 2,
        step_size: Annotated[float, Field(ge=0)] = 1e-4,
    ) -> None:
        super().__init__(tasks, generator)
        self._groups, self._step_size = groups, step_size
        self.register_buffer("logits", torch.zeros(len(tasks), dtype=torch.float64))
        self.logits: Tensor

    def weigh(self, losses: Tensor) -> Tensor:
        self.logits = self.logits - self._step_size * losses
        indicators = self.logits.softmax(0) * losses.sum() / losses
        return torch.from_numpy(cluster_means(indicators.numpy(), self._groups))
