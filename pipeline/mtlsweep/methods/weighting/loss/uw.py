"""UW: each task's homoscedastic uncertainty, learnt beside the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("uw")
class UncertaintyWeighting(LossWeighting):
    """Minimises sum_i L_i / (2 e^{s_i}) + s_i / 2 in the network and in the log-variances s_i.

    The weights are 1 / (2 e^{s_i}); at the optimum e^{s_i} = L_i. In a step without a task's labels its s_i
    and the moments of it stay.

    Deviations: LibMTL trains s with the network's weight decay, which pulls s to 0; here there is
    none on s. LibMTL starts s at -0.5 (the default here), TorchJD at 0. For cross-entropy the paper has
    L_i / e^{s_i}, without the 1/2; here every task has it, as in LibMTL and TorchJD.

    Args:
        start: first value of every s_i.
        learning_rate: of s; None means the network's, with its schedule.
    """

    facts = Facts(
        paper="Kendall, Gal, Cipolla 2018, arXiv 1705.07115",
        scale="sum of g_i / (2 e^{s_i})",
        heads="same weight",
        code="https://github.com/yaringal/multi-task-learning-example",
    )
    needs_positive_losses = "on average"
    per_task: ClassVar = {"log_variance": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        start: float = -0.5,
        learning_rate: Annotated[float, Field(gt=0)] | None = None,
    ) -> None:
        super().__init__(tasks, generator)
        self.learning_rate = learning_rate
        self.log_variance = nn.Parameter(torch.full((len(self.tasks),), start, dtype=torch.float64))

    def weigh(self, losses: Tensor) -> Tensor:
        weights = 0.5 * torch.exp(-self.log_variance.detach())
        self.log_variance.grad = 0.5 - weights * losses
        return weights
