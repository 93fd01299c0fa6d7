"""DB-MTL: logarithms balance the losses, equal lengths balance the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import JacobianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights

_EPSILON = 1e-8


@WEIGHTINGS.register("db_mtl")
class DualBalancing(JacobianWeighting):
    """Moving averages b_i of the gradients of log L_i, all scaled to the length of the longest.

    At step k: b_i <- h_i + beta_k (b_i - h_i) with h_i = g_i / (L_i + 1e-8), beta_k = beta / k^decay,
    b_i = 0 at first; the update is sum_i (max_j |b_j| / |b_i|) b_i. Heads follow h_i, as in LibMTL. The
    effective weight of a task is that of its current gradient without memory, (max|b| / |b_i|) / L_i. In a step without a
    task's labels its b_i stays; k counts the steps of all tasks.

    Args:
        beta: memory of the moving average; 0 for none.
        decay: how the memory fades over steps; 0 keeps it, the paper also uses 0.5.
    """

    facts = Facts(
        paper="Lin, Jiang, Ye, et al. 2023, arXiv 2308.12029",
        scale="sum of max|b| b_i / |b_i|, b_i the moving average of g_i / L_i",
        heads="1 / L_i",
        code="https://github.com/median-research-group/LibMTL",
    )
    needs_positive_losses = "always"
    per_task: ClassVar = {"_averages": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        beta: Annotated[float, Field(ge=0, lt=1)] = 0.9,
        decay: Annotated[float, Field(ge=0)] = 0.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._beta, self._decay = beta, decay
        self._step = 0
        self._averages: Tensor | None = None

    def combine(
        self, losses: Tensor, gradients: Sequence[Tensor], values: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], Weights]:
        (rows,) = gradients
        self._step += 1
        memory = self._beta / self._step**self._decay
        of_logarithms = (losses + _EPSILON).reciprocal()
        if self._averages is None:
            self._averages = torch.zeros_like(rows)
        self._averages.mul_(memory).addcmul_(rows, (1.0 - memory) * of_logarithms[:, None])
        norms = torch.linalg.vector_norm(self._averages, dim=1)
        stretch = norms.max() / (norms + _EPSILON)
        return [stretch @ self._averages], Weights(stretch * of_logarithms, of_logarithms)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the moving averages [T, P] and the step's number."""
        return {"step": self._step, "averages": self._averages}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state`."""
        self._step, self._averages = state["step"], state["averages"]
