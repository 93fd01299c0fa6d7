"""ExcessMTL: tasks that are far from their optimum weigh more, whatever noise their labels have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import JacobianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights

_EPSILON = 1e-7


@WEIGHTINGS.register("excess_mtl")
class ExcessMTL(JacobianWeighting):
    """Weights w, sum T, that grow with the estimated excess risk E_i of their tasks.

    E_i = sum_p g_ip^2 / sqrt(s_ip + 1e-7), with s_ip the sum of all g_ip^2 so far, this step's included: g^T H^{-1} g with
    AdaGrad's diagonal for the Hessian (paper, Eqs. 6 and 7). Then w_i <- w_i exp(step_size E_i / E_i(1)), made to
    sum to T (Eq. 9). In the first step, whose E(1) sets each task's unit, all weights are 1.

    As in the official code and LibMTL; heads follow w too, since both differentiate the weighted sum once
    more. Deviation: the first E counts as at least 1e-7. TorchJD starts at 1/T and updates in the first step already.

    Args:
        step_size: how fast weights follow the excess risks; 0.01 in LibMTL.
    """

    facts = Facts(
        paper="He, Zhou, Zhang, et al. 2024, arXiv 2402.02009",
        scale="sum of w_i g_i, sum of w_i = T",
        heads="same weight",
        code="https://github.com/yifei-he/ExcessMTL",
    )
    per_task: ClassVar = {"_squares": (0,), "_units": (0,), "_logits": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        step_size: Annotated[float, Field(gt=0)] = 0.01,
    ) -> None:
        super().__init__(tasks, generator)
        self._step_size = step_size
        self._squares: Tensor | None = None
        self._units: Tensor | None = None
        self._logits: Tensor | None = None

    def combine(
        self, losses: Tensor, gradients: Sequence[Tensor], values: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], Weights]:
        (rows,) = gradients
        if self._squares is None:
            self._squares = torch.zeros_like(rows)
        if self._units is None or self._logits is None:
            self._units, self._logits = torch.zeros_like(losses), torch.zeros_like(losses)
        excess = self._excess_risks(rows, self._squares)
        begins = self._units == 0
        self._units = torch.where(begins, excess.clamp(min=_EPSILON), self._units)
        growth = self._step_size * excess / self._units
        self._logits = self._logits + torch.where(begins, torch.zeros_like(growth), growth)
        weights = len(losses) * self._logits.softmax(0)
        return [weights @ rows], Weights(weights, weights)

    @staticmethod
    def _excess_risks(rows: Tensor, squares: Tensor) -> Tensor:
        """Return E [T], and add the squares of `rows` [T, P] to `squares`; task by task, to need little memory."""
        excess = []
        for row, total in zip(rows, squares, strict=True):
            square = row * row
            total += square
            excess.append((square * (total + _EPSILON).rsqrt_()).sum())
        return torch.stack(excess)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the sums of squared gradients [T, P], the first excess risks [T] and the weights' logarithms [T]."""
        return {"squares": self._squares, "units": self._units, "logits": self._logits}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state`."""
        self._squares, self._units, self._logits = state["squares"], state["units"], state["logits"]
