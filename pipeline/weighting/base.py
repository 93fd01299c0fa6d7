"""What a weighting is, and the conventions that hold for all of them.

A weighting sees numbers on the host only: the detached task losses and, for gradient methods, the
Gramian of the task gradients, both float64. So every method works the same on any device, costs one
transfer a step, and keeps its state in small CPU tensors that a checkpoint restores to the bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, create_model
from torch import Tensor, nn

from pipeline.registry import Choice, Registry

Scale = Literal["native", "unit"]
Heads = Literal["native", "one", "same"]
Gradients = Literal["parameters", "representation"]


@dataclass(frozen=True)
class Facts:
    """What a method is, for `mtlsweep methods` and the documentation.

    Attributes:
        paper: authors and year, and where to find it.
        scale: the shared update as published, in terms of the task gradients g_i and losses L_i.
        heads: what multiplies the gradient of task i's own head, as published.
        non_conflicting: whether the paper claims an update that lowers no task's descent below zero.
    """

    paper: str
    scale: str
    heads: str
    non_conflicting: bool = False


@dataclass(frozen=True)
class Weights:
    """Multipliers of the task gradients, both [T] float64 on the CPU.

    Attributes:
        shared: for the parameters all tasks share: their update is sum_i shared_i g_i.
        heads: for the parameters of each task's own head.
    """

    shared: Tensor
    heads: Tensor


@dataclass(frozen=True)
class Conventions:
    """Choices that papers leave open and that decide who wins under SGD; recorded with every result.

    Attributes:
        scale: `native` as published; `unit` scales shared and head weights so that each sum to T.
        heads: `native` as published; `one` gives each head its own gradient; `same` the shared weight.
        gradients: whether the Gramian is of gradients on shared parameters or on the representation.
    """

    scale: Scale = "native"
    heads: Heads = "native"
    gradients: Gradients = "parameters"

    def apply(self, weights: Weights) -> Weights:
        """Return `weights` under these conventions."""
        shared, heads = weights.shared, weights.heads
        if self.heads == "one":
            heads = torch.ones_like(shared)
        elif self.heads == "same":
            heads = shared
        if self.scale == "unit":
            shared, heads = shared * unit_factor(shared), heads * unit_factor(heads)
        return Weights(shared, heads)


def unit_factor(weights: Tensor) -> float:
    """Return what makes `weights` [T] sum to T.

    Weights of both signs can sum to nothing or less; dividing by that would blow the update up or
    turn it round, so their absolute values are made to sum to T instead. Zero weights stay zero.
    """
    total, magnitude = float(weights.sum()), float(weights.abs().sum())
    if magnitude == 0.0:
        return 1.0
    return len(weights) / (total if total > 1e-6 * magnitude else magnitude)


class Weighting(nn.Module, ABC):
    """How task losses or task gradients become one update.

    A method keeps its state in buffers and parameters (CPU, float64), so `state_dict` restores it.
    Its `nn.Parameter`s are trained beside the network by an optimizer of the same kind without weight
    decay, on the `.grad` that the method writes; `learning_rate` None means the network's.

    Args:
        tasks: names of the T tasks, in the order of losses and gradients.
        generator: the method's random stream (CPU).
    """

    facts: ClassVar[Facts]
    kind: ClassVar[str]
    conventions: Conventions = Conventions()
    learning_rate: float | None = None

    def __init__(self, tasks: Sequence[str], generator: torch.Generator) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.generator = generator

    def end_epoch(self, losses: Tensor) -> None:
        """Take note that an epoch ended with the mean training losses `losses` [T]."""


class LossWeighting(Weighting):
    """Weights from losses alone: the weighted sum of the losses is differentiated once."""

    kind = "loss"
    reevaluates: bool = False
    """Whether `observe` wants the losses of the same batch after the step (one more forward)."""

    @abstractmethod
    def weigh(self, losses: Tensor) -> Tensor:
        """Return the weights [T] of shared and head gradients for `losses` [T]."""

    def observe(self, losses: Tensor) -> None:
        """Take note of the batch's `losses` [T] after the step; called if `reevaluates`."""


class GramianWeighting(Weighting):
    """Weights from the inner products of the task gradients."""

    kind = "gradient"
    at_representation: ClassVar[bool] = False
    """Whether the method allows the Gramian to be taken at the shared representation."""

    @abstractmethod
    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        """Return the weights for `losses` [T] and `gramian` [T, T] (of g_i and g_j at row i, column j).

        Raises:
            numpy.linalg.LinAlgError, torch.linalg.LinAlgError: the solver found no answer; the trial
                ends as `diverged`.
        """


class WeightingRegistry(Registry[Any]):
    """The weightings by name; every one takes its conventions as options beside its own."""

    def create(self, choice: Choice, *context: Any) -> Any:
        """Build the weighting that `choice` names for (task names, random stream)."""
        options = self._options_model(choice.name)(**choice.options).model_dump()
        reserved = {name: options.pop(name) for name in _reserved(self.get(choice.name))}
        weighting = self.get(choice.name)(*context, **options)
        weighting.conventions = Conventions(**reserved)
        return weighting

    def _options_model(self, name: str) -> type[BaseModel]:
        model = super()._options_model(name)
        return create_model(model.__name__, __base__=model, **_reserved(self.get(name)))


def _reserved(weighting: Any) -> dict[str, Any]:
    """Return the conventions that `weighting` leaves to the user, as pydantic fields."""
    fields: dict[str, Any] = {}
    if issubclass(weighting, LossWeighting | GramianWeighting):
        fields |= {"scale": (Scale, "native"), "heads": (Heads, "native")}
    if issubclass(weighting, GramianWeighting):
        allowed = Gradients if weighting.at_representation else Literal["parameters"]
        fields |= {"gradients": (allowed, "parameters")}
    return fields


WEIGHTINGS = WeightingRegistry("weighting", "pipeline.weighting")
