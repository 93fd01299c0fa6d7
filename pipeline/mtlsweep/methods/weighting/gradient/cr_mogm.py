"""CR-MOGM: another method's weights, smoothed over steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights
from mtlsweep.params.choice import Choice


@WEIGHTINGS.register("cr_mogm")
class SmoothedWeights(GramianWeighting):
    """w <- memory w + (1 - memory) v, with v the weights that `method` gives to the step, at its defaults; w = v at first.

    A moving average removes the correlation between the noise of the weights and that of the gradients. Heads
    follow what `method` gives them. The paper smooths these three methods.

    Deviation: the paper lets `memory` grow to 1 as the learning rate decays; here, as in TorchJD, it is fixed.

    Args:
        method: whose weights are smoothed.
        memory: of the moving average; 0 for none.
    """

    facts = Facts(
        paper="Zhou, Zhang, Jiang, et al. 2022, NeurIPS, On the Convergence of Stochastic Multi-Objective Gradient Manipulation",
        scale="that of the smoothed method",
        heads="those of the smoothed method",
    )
    per_task: ClassVar = {"smoothed": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        method: Literal["mgda", "cagrad", "pcgrad"] = "mgda",
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.9,
    ) -> None:
        super().__init__(tasks, generator)
        inner = WEIGHTINGS.create(Choice(name=method), tasks, generator)
        assert isinstance(inner, GramianWeighting)
        self._inner, self._memory = inner, memory
        self.register_buffer("smoothed", torch.full((len(tasks),), math.nan, dtype=torch.float64))
        self.smoothed: Tensor

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        given = self._inner.weigh(losses, gramian)
        pairs = zip(self.smoothed.tolist(), given.shared.tolist(), strict=True)
        smoothed = [self._memory * (new if math.isnan(old) else old) + (1.0 - self._memory) * new for old, new in pairs]
        self.smoothed = torch.tensor(smoothed, dtype=torch.float64)
        return Weights(self.smoothed, given.heads)
