"""FAMO: all losses decrease at the same rate, measured by the losses before and after each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.own_adam import OwnAdam
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts

_EPSILON = 1e-8


@WEIGHTINGS.register("famo")
class FastAdaptiveOptimization(OwnAdam, LossWeighting):
    """With z = softmax(logits), weights are z_i / L_i, normalised to sum to 1.

    After the step the losses L'_i of the same batch give the logits' gradient, that of
    sum_i z_i (log L_i - log L'_i) at fixed losses, for a step of FAMO's own Adam.

    In a step without a task's labels its logit and the moments of it stay, and z is the softmax over the others; the
    Adam's count of steps, which corrects its moments for their start, is one for all tasks.

    Deviations: the second forward runs on copies of the network's buffers, so batch-norm statistics
    see every batch once; in LibMTL and the official code they see it twice. Lower bounds of the
    losses are 0.

    Args:
        learning_rate: of the logits; the paper uses 0.025.
        weight_decay: of the logits; 1e-3 in the paper's algorithm and LibMTL, 1e-5 in the official code.
    """

    facts = Facts(
        paper="Liu, Feng, Stone, Liu 2023, arXiv 2306.03792",
        scale="sum of w_i g_i, w proportional to z_i / L_i, sum 1",
        heads="same weight",
        code="https://github.com/Cranial-XIX/FAMO",
    )
    needs_positive_losses = "always"
    per_task: ClassVar = {"logits": (0,)}
    cost = "1 backward + 1 more forward"
    reevaluates = True

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        learning_rate: Annotated[float, Field(gt=0)] = 0.025,
        weight_decay: Annotated[float, Field(ge=0)] = 1e-3,
    ) -> None:
        super().__init__(tasks, generator)
        self.register_buffer("logits", torch.zeros(len(tasks), dtype=torch.float64))
        self.logits: Tensor  # a buffer: stepped here, not beside the network
        self._adam = torch.optim.Adam([self.logits], lr=learning_rate, weight_decay=weight_decay)
        self._before = self.logits

    def weigh(self, losses: Tensor) -> Tensor:
        self._before = losses
        weights = self.logits.softmax(0) / (losses + _EPSILON)
        return weights / weights.sum()

    def observe(self, losses: Tensor) -> None:
        fallen = (self._before + _EPSILON).log() - (losses + _EPSILON).log()
        shares = self.logits.softmax(0)
        self.logits.grad = shares * (fallen - shares @ fallen)
        self._adam.step()
