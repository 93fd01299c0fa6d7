"""Optimizers that step as one, and those that evaluate at other parameters than they train at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer


class Joint(Optimizer):
    """Several optimizers that step as one; groups that are added later go to the last of them.

    Its `param_groups` are those of its parts, so a rate that is set here is a part's rate.

    Args:
        parts: each with parameters of its own.
    """

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts: tuple[Optimizer, ...] = ()
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = tuple(parts)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.parts:
            self.parts[-1].add_param_group(param_group)
        super().add_param_group(param_group)

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step with every part."""
        for part in self.parts:
            part.step()

    def whole(self, parameter: Tensor) -> Tensor:
        """Return the network's parameter that a part sees as `parameter`."""
        return parameter

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, saved in zip(self.parts, state_dict["parts"], strict=True):
            restore(part, saved)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def parts_of(optimizer: Optimizer) -> tuple[Optimizer, ...]:
    """Return the optimizers that keep the state: the parts of a joint one, at any depth, or `optimizer` itself."""
    if isinstance(optimizer, Joint):
        return tuple(each for part in optimizer.parts for each in parts_of(part))
    return (optimizer,)


def settings(optimizer: Optimizer) -> Iterator[tuple[Tensor, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each parameter of the network with its group (rate, momentum, ...) and its state, wherever a part keeps them."""
    if isinstance(optimizer, Joint):
        for part in optimizer.parts:
            for parameter, group, state in settings(part):
                yield optimizer.whole(parameter), group, state
    else:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                yield parameter, group, optimizer.state.get(parameter, {})


class Averaging(Protocol):
    """An optimizer that trains at one point and is evaluated at another, as those of `schedulefree`."""

    param_groups: list[dict[str, Any]]

    def train(self) -> None:
        """Move the parameters to the point where gradients are taken."""

    def eval(self) -> None:
        """Move the parameters to the average that is evaluated."""


def averaging(optimizers: Iterable[Any]) -> list[Averaging]:
    """Return the optimizers, and the parts of optimizers, that have two modes."""
    parts: Iterator[Any] = (part for optimizer in optimizers for part in parts_of(optimizer))
    return [part for part in parts if all(callable(getattr(part, mode, None)) for mode in ("train", "eval"))]


def restore(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Continue from a `state_dict`. Every tensor keeps its type; torch casts them to that of their parameter."""
    optimizer.load_state_dict(dict(saved))
    if isinstance(optimizer, Joint):
        return
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    for parameter, number in zip(parameters, numbers, strict=True):
        state = optimizer.state[parameter] if number in saved["state"] else {}
        for name, value in state.items():
            if isinstance(value, Tensor):
                state[name] = value.to(saved["state"][number][name].dtype)
