"""SDMGrad: a common descent direction that stays near the mean gradient, from independent batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import TwoSampleWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.simplex import project_onto_simplex, sum_to_one
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("sdmgrad")
class SDMGrad(TwoSampleWeighting):
    """Update (g_w + lambda gbar) / (1 + lambda), with w near the minimum over the simplex of |g_w + lambda gbar|^2 / 2.

    From the last step's w, `iterations` steps of projected SGD go along A (w + lambda / T), where A holds
    the products of the gradients of two further batches, over the square of the mean of the roots of its
    diagonal, negative entries there counted as 0.

    Scale as in LibMTL; the official code multiplies the update by T and clips its norm to 1. `step_size` and `momentum` are
    those of the official code and TorchJD; LibMTL's step is 5. Heads follow their gradient on the own batch; in the
    official code and LibMTL, the sum over the three batches.

    Deviations: the official code's three gradient matrices are one and the same tensor, so that it works on the gradients
    of the last batch alone; LibMTL, TorchJD and this code take three, as the paper. LibMTL and TorchJD add 1e-8 to what A is
    divided by; here nothing is added, and w stays where that is 0.

    Args:
        preference: lambda, the pull to the mean gradient.
        iterations: of projected SGD.
        step_size: of projected SGD.
        momentum: of projected SGD; it starts anew in each step.
    """

    facts = Facts(
        paper="Xiao, Ban, Ji 2023, arXiv 2305.18409",
        scale="sum of (w_i + lambda / T) g_i / (1 + lambda), sum of w_i = 1",
        heads="1",
        code="https://github.com/OptMN-Lab/sdmgrad",
    )
    per_task: ClassVar = {"simplex": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        preference: Annotated[float, Field(ge=0)] = 0.3,
        iterations: Annotated[int, Field(ge=1)] = 20,
        step_size: Annotated[float, Field(gt=0)] = 10.0,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    ) -> None:
        super().__init__(tasks, generator)
        self._preference, self._iterations = preference, iterations
        self._step_size, self._momentum = step_size, momentum
        self.register_buffer("simplex", torch.full((len(tasks),), 1.0 / len(tasks), dtype=torch.float64))
        self.simplex: Tensor

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        pull = self._preference / len(losses)
        self.simplex = torch.from_numpy(self._descend(gramian.numpy(), sum_to_one(self.simplex).numpy(), pull))
        return Weights((self.simplex + pull) / (1.0 + self._preference), torch.ones_like(losses))

    def _descend(self, products: np.ndarray, weights: np.ndarray, pull: float) -> np.ndarray:
        size = np.sqrt(np.maximum(products.diagonal(), 0.0)).mean() ** 2
        if not size > 0:
            return weights
        velocity = np.zeros(len(weights))
        for _ in range(self._iterations):
            velocity = self._momentum * velocity + products @ (weights + pull) / size
            weights = project_onto_simplex(weights - self._step_size * velocity)
        return weights
