"""PIVRG: tasks that do worse than their reference get more, so that performances spread less."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.methods.weighting.kinds import GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.solvers.bargaining import fair_weights
from mtlsweep.methods.weighting.solvers.clipping import clip_update
from mtlsweep.methods.weighting.weighting import Facts, Performance, Weights


@WEIGHTINGS.register("pivrg")
class PIVRG(GramianWeighting):
    """Update T sum_i w_i g_i with M w = (c / w)^{1/2}, its norm clipped to `max_norm`; c grows with a task's deficit.

    c = T softmax(s / temperature), temperature = max((max s - min s) / ln(bound), least_temperature), where s_i is the
    mean over task i's metrics of how much worse than `reference` they are, in percent, after the last epoch; 0 in
    the first epoch. The official code's class `PIVRG`; the reference there is single-task training.

    Deviations: s is measured on the validation split; the official code measures it on the training split for Cityscapes and
    NYUv2 and on the validation split for CelebA. w is solved by Newton steps, there by a generic least-squares
    fit. The reference is an option, not taken from the baselines: a trial depends on no other.

    Args:
        reference: by task, by metric: what single-task training reaches, `{left: {acc: 0.95}}`.
        bound: how many times the largest c may be the smallest.
        least_temperature: in percent.
        max_norm: of the shared update; 0 means no clipping.
    """

    facts = Facts(
        paper="Qin, Wang, Yan 2025, CVPR, Revisiting Fairness in Multitask Learning",
        scale="T sum of w_i g_i, M w = (c / w)^{1/2}, then norm clipped to 1",
        heads="1",
        non_conflicting=True,
        code="https://github.com/jianke0604/MTLlib",
    )
    needs_validation = True
    per_task: ClassVar = {"deficits": (0,)}

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        reference: dict[str, dict[str, float]],
        bound: Annotated[float, Field(gt=1)] = 2.0,
        least_temperature: Annotated[float, Field(gt=0)] = 10.0,
        max_norm: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._reference = reference
        self._log_bound, self._least_temperature = math.log(bound), least_temperature
        self._max_norm = max_norm
        self.register_buffer("deficits", torch.zeros(len(tasks), dtype=torch.float64))
        self.deficits: Tensor

    @classmethod
    def objection(cls, options: Mapping[str, Any], optimizer: str, tasks: int | Sequence[str]) -> str | None:
        reference: Mapping[str, Mapping[str, float]] = options["reference"]
        for task in [] if isinstance(tasks, int) else tasks:
            if not reference.get(task):
                given = ", ".join(reference) or "none"
                return f"needs a reference for the metrics of task `{task}`; found one for {given}"
        for task, metrics in reference.items():
            if 0.0 in metrics.values():
                return f"has 0 as reference of a metric of task `{task}`; the distance to it is taken in percent of it"
        return None

    def end_validation(self, performances: Sequence[Performance]) -> None:
        """Take the deficits from the validation metrics of the epoch that has ended."""
        self.deficits = torch.tensor(
            [self._deficit(task, [each for each in performances if each.task == task]) for task in self.tasks],
            dtype=torch.float64,
        )

    def _deficit(self, task: str, performances: Sequence[Performance]) -> float:
        reference = self._reference[task]
        deficits: list[float] = []
        unknown = reference.keys() - {each.metric for each in performances}
        if unknown:
            raise UserError(
                f"weighting `pivrg`: option `reference` has `{min(unknown)}` for task `{task}`, which is not a metric of this task: "
                f"choose from {', '.join(each.metric for each in performances)}."
            )
        for each in performances:
            wanted = reference.get(each.metric)
            if wanted is not None:
                worse = wanted - each.value if each.higher_is_better else each.value - wanted
                deficits.append(100.0 * worse / abs(wanted))
        return sum(deficits) / len(deficits)

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        spread = float(self.deficits.max() - self.deficits.min())
        temperature = max(spread / self._log_bound, self._least_temperature)
        claims = len(losses) * (self.deficits / temperature).softmax(0)
        weights = fair_weights(gramian.numpy(), 0.5, np.sqrt(claims.numpy()))
        shared = clip_update(len(losses) * torch.from_numpy(weights), gramian, self._max_norm)
        return Weights(shared, torch.ones_like(losses))
