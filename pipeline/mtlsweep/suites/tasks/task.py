"""The interface of a task, and the registry of its kinds."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor

from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.suites.tasks.target import Target

TASKS: Registry[Task] = Registry("task", "mtlsweep.suites.tasks")


@dataclass(frozen=True)
class Metric:
    """A metric; `in_delta_m` says whether a relative change of it is meaningful."""

    name: str
    higher_is_better: bool
    in_delta_m: bool = True


class Evaluator(Protocol):
    """Collects over a whole split, batch by batch, what the metrics of one task need."""

    def update(self, output: Tensor, target: Tensor) -> None:
        """Add one batch, of any size."""

    def compute(self) -> dict[str, float]:
        """Return every metric over all batches added; NaN where nothing was valid."""


@dataclass(frozen=True)
class Task(ABC):
    """One thing to learn.

    A kind of task is a frozen dataclass whose keyword-only fields are its options. `name` is also
    the name of its target's column in the prepared data.
    """

    name: str
    kind: ClassVar[str] = ""
    dense: ClassVar[bool] = False
    """Whether the output has a value at every pixel."""

    metrics: ClassVar[tuple[Metric, ...]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "kind" not in cls.__dict__:  # a user's own class is named by its module and class
            cls.kind = f"{cls.__module__}:{cls.__qualname__}"

    @property
    def target(self) -> Target | None:
        """What the column of targets must hold; None leaves it to the user's own kind, and `prepare` checks nothing."""
        return None

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Channels (dense) or numbers (not dense) that a head must give."""

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over the valid elements, a scalar; 0 when none is valid.

        Rows without a label (`Target.mark`) are not among those given.
        """

    @abstractmethod
    def evaluator(self) -> Evaluator:
        """Return an empty evaluator of `metrics`."""

    def definition(self) -> dict[str, Any]:
        """Return the task as JSON; `task_from_definition` restores it."""
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.kw_only}
        return {"kind": self.kind, "name": self.name, "options": options}


def task_from_definition(definition: Mapping[str, Any]) -> Task:
    """Return the task that `definition` describes.

    Raises:
        UserError: unknown kind, unknown option, or an option of the wrong type or range.
    """
    choice = TASKS.resolve(Choice(name=definition["kind"], options=definition["options"]))
    return TASKS.create(choice, definition["name"])


def mean_over_valid(losses: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of `losses` where `valid`; 0, with a gradient of 0, when nothing is."""
    return losses.where(valid, 0.0).sum() / valid.sum().clamp(min=1)
