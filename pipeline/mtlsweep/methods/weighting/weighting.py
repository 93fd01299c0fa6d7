"""What a weighting is, and the conventions that hold for all of them.

Losses, Gramian and weights are passed on the host in float64. So every method works the same on every
device, costs one transfer a step, and keeps its state in small CPU tensors that a checkpoint
restores to the bit. Only methods that need the task gradients themselves see the device.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Scale = Literal["native", "unit"]
Heads = Literal["native", "one", "same"]
Gradients = Literal["parameters", "representation"]
PositiveLosses = Literal["never", "on average", "always"]


@dataclass(frozen=True)
class Facts:
    """What a method is, for `mtlsweep methods` and the documentation.

    Attributes:
        paper: authors, year, and where to find it: `arXiv 2001.06782`, or a venue and its id.
        scale: the shared update as published, in terms of the task gradients g_i and losses L_i.
        heads: what multiplies the gradient of task i's own head, as published.
        non_conflicting: whether, by the paper's claim, <g_i, update> >= 0 for every task.
        symmetric: whether renaming tasks renames weights and changes nothing else; random methods are
            symmetric in distribution only.
        code: address of the authors' own code; empty if none is known.
    """

    paper: str
    scale: str
    heads: str
    non_conflicting: bool = False
    symmetric: bool = True
    code: str = ""


@dataclass(frozen=True)
class Weights:
    """Multipliers of the task gradients, both [T], float64 on the CPU.

    Attributes:
        shared: for the parameters all tasks share: their update is sum_i shared_i g_i.
        heads: for the parameters of each task's own head.
    """

    shared: Tensor
    heads: Tensor


@dataclass(frozen=True)
class Performance:
    """A metric of a task over the whole validation split."""

    task: str
    metric: str
    value: float
    higher_is_better: bool


@dataclass(frozen=True)
class Conventions:
    """Choices that papers leave open and that decide which method wins under SGD; recorded with every result.

    Attributes:
        scale: `native` as published; `unit` scales shared and head weights so that each sum to T.
        heads: `native` as published; `one` gives each head its own gradient; `same` the shared weight.
        gradients: whether task gradients are taken on shared parameters or on the representation.
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

    Weights of both signs can sum to nothing or less; dividing by that sum would make the update
    huge or reverse it, so their absolute values are made to sum to T instead. Zero weights stay zero.
    """
    total, magnitude = float(weights.sum()), float(weights.abs().sum())
    if magnitude == 0.0:
        return 1.0
    return len(weights) / (total if total > 1e-6 * magnitude else magnitude)


class Weighting(nn.Module, ABC):
    """How task losses or task gradients become one update.

    A method keeps its state in buffers and parameters (CPU, float64), so `state_dict` has it and `restore`
    brings it back. What it makes of the gradients themselves belongs into the extra state of `nn.Module`.
    Its `nn.Parameter`s are trained beside the network by an optimizer of the same kind without weight
    decay, on the `.grad` that the method writes; `learning_rate` None means the network's.

    Args:
        tasks: names of the T tasks, in the order of losses and gradients.
        generator: the method's random stream (CPU).
    """

    facts: ClassVar[Facts]
    kind: ClassVar[str]
    cost: ClassVar[str]
    allows: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The values of each convention that the method can follow; the first is its default."""
    batches: ClassVar[int] = 1
    """How many independently drawn batches of training data a step sees: its own, and further ones."""

    per_task: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    """Attributes (tensors, or None before the first step) with a value for each task, and which of their dimensions count
    tasks. In a step without a task's labels the method sees neither the task nor its values, and these stay."""

    conventions: Conventions = Conventions()
    learning_rate: float | None = None
    needs_validation: ClassVar[bool] = False
    """Whether `end_validation` must be called after every epoch."""
    needs_positive_losses: PositiveLosses = "never"
    """Which losses must be above 0 for the method's formula to hold: none, each task's mean over an epoch, or those of
    every batch (a method that divides by them or takes their logarithm). A trial that meets another ends."""

    def __init__(self, tasks: Sequence[str], generator: torch.Generator) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.generator = generator

    @classmethod
    def objection(cls, options: Mapping[str, Any], optimizer: str, tasks: int | Sequence[str]) -> str | None:
        """Return why this method cannot work with the `optimizer` named so on `tasks` (names or number), or None."""
        return None

    def optimizers(self) -> Sequence[Optimizer]:
        """Return the optimizers that the method steps itself."""
        return ()

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from a `state_dict` whose tensors are on the CPU.

        State then lives where that of a new method lives: buffers, parameters and extra state on the CPU.

        Args:
            state: of a method with the same tasks and options, on whatever device it was taken.
            device: of the network, and so of the gradients that a method may see.
        """
        self.load_state_dict(state)

    def end_epoch(self, losses: Tensor) -> None:
        """Called at the end of an epoch, with its mean training losses `losses` [T] of the tasks that had a label in it."""

    def end_validation(self, performances: Sequence[Performance]) -> None:
        """Called after the validation that follows an epoch, with every metric of every task.

        Raises:
            UserError: what the method was told of the metrics does not fit them.
        """
