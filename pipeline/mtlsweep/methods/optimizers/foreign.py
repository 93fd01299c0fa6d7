"""Optimizers of other packages by their name, such as `torch.optim:NAdam`: no wrapper, their own arguments as options.

The signature gives names, types and defaults. What it does not tell is found by a rehearsal on two small tensors when
a plan is made: values that the class refuses, steps that need a closure, state that cannot be saved.
"""

from __future__ import annotations

import functools
import inspect
import io
import operator
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union

import torch
from pydantic import BaseModel, ConfigDict, create_model
from torch.nn import Parameter
from torch.optim import Optimizer

from mtlsweep.errors import UserError, first_line
from mtlsweep.methods.optimizers.joint import averaging, restore

_LEARNING_RATE = "lr"
_PLAIN = (int, float, bool, str, type(None))


def require_optimizer(name: str, entry: Callable[..., Any]) -> None:
    """Check that a class is one of optimizers; a function may return whatever steps.

    Raises:
        UserError: it is not, or is neither class nor function.
    """
    if not callable(entry) or (inspect.isclass(entry) and not issubclass(entry, Optimizer)):
        raise UserError(
            f"optimizer `{name}` is not an optimizer: derive it from `torch.optim.Optimizer`, or name a function that returns one."
        )


def is_foreign(entry: Callable[..., Any]) -> bool:
    """Whether `entry` is a class that was not written for this package: torch's `lr` is among its arguments."""
    return (
        inspect.isclass(entry)
        and issubclass(entry, Optimizer)
        and _LEARNING_RATE in inspect.signature(entry).parameters
    )


def options_of(name: str, entry: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments that can be given as options: plain values, and tuples of them.

    Raises:
        UserError: an argument without a default takes something else.
    """
    hints = _hints(entry)
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    _, *others = inspect.signature(entry).parameters.values()
    found = {}
    for parameter in others:
        if parameter.name == _LEARNING_RATE or parameter.kind in variable:
            continue
        if _option_type(parameter, hints) is not None:
            found[parameter.name] = parameter
        elif parameter.default is inspect.Parameter.empty:
            raise UserError(
                f"optimizer `{name}` needs an argument `{parameter.name}` that params.yaml cannot give: name a "
                "function of your own that returns the optimizer."
            )
    return found


def options_model(name: str, entry: Callable[..., Any]) -> type[BaseModel]:
    """Return a model of the options, with types and defaults from the signature."""
    hints = _hints(entry)
    fields: dict[str, Any] = {
        parameter.name: (
            _option_type(parameter, hints),
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for parameter in options_of(name, entry).values()
    }
    config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), validate_default=True)
    return create_model(f"{name}_options", __config__=config, **fields)


_rehearsed: set[tuple[str, str]] = set()


def rehearse(name: str, entry: Callable[..., Any], options: BaseModel) -> None:
    """Let the optimizer make steps on two small tensors, stop, and go on from what it saved.

    Raises:
        UserError: it cannot be made with these options, cannot step by itself, or does not go on as it would have.
    """
    key = (name, options.model_dump_json())
    if key in _rehearsed:
        return
    with torch.random.fork_rng(devices=[]):
        try:
            whole, places = _start(entry, options)
            saved = io.BytesIO()
            torch.save(whole.state_dict(), saved)
            other, others = _start(entry, options, steps=0)
            for one, place in zip(others, places, strict=True):
                one.data.copy_(place.data)
            saved.seek(0)
            restore(other, torch.load(saved, weights_only=True))
            _walk(whole, places, 2)
            _walk(other, others, 2)
        except Exception as error:
            raise UserError(
                f"optimizer `{name}` fails when it is tried on two small tensors, of two dimensions and of one: {first_line(error)}; change "
                "its options, or name a function of your own that returns the optimizer."
            ) from error
    if not all(torch.equal(one, place) for one, place in zip(others, places, strict=True)):
        raise UserError(
            f"optimizer `{name}` gives other results when it continues from its saved state, so its stopped trials "
            "could not be continued: choose another, or correct its `state_dict`."
        )
    _rehearsed.add(key)


def without_build(version: str) -> str:
    """Return an identity such as `torch==2.13.0+cpu` without the build: the same release for other hardware."""
    return version.partition("+")[0] if version.startswith("torch==") else version


def _start(entry: Callable[..., Any], options: BaseModel, steps: int = 2) -> tuple[Any, list[Parameter]]:
    parameters = [Parameter(torch.linspace(-1, 1, 6).view(2, 3)), Parameter(torch.ones(2))]
    optimizer = entry(list(parameters), lr=0.01, **dict(options))
    _walk(optimizer, parameters, steps)
    return optimizer, parameters


def _walk(optimizer: Any, parameters: list[Parameter], steps: int) -> None:
    for each in averaging([optimizer]):
        each.train()
    torch.manual_seed(0)  # as a trial does at the start of each epoch
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = parameter.detach() + 0.5
        optimizer.step()


def _hints(entry: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(entry.__init__)
    except (NameError, TypeError):  # names that exist for a type checker only
        return {}


def _option_type(parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    """Return the type of an option, as far as it is plain, or None."""
    if parameter.name in hints:
        return _plain(hints[parameter.name])
    default = parameter.default
    if isinstance(default, tuple) and all(isinstance(each, _PLAIN) for each in default):
        return tuple[tuple(_of_value(each) for each in default)]  # type: ignore[misc]
    return _of_value(default) if isinstance(default, _PLAIN) else None


def _of_value(default: Any) -> Any:
    """Return the type of an argument without a hint: a whole number may stand for any, None for anything plain."""
    if default is None:
        return bool | int | float | str | None
    return int | float if type(default) is int else type(default)


def _plain(hint: Any) -> Any:
    """Return `hint` without what no params.yaml can give, such as tensors; None if nothing is left."""
    if hint in _PLAIN or hint is None:
        return type(None) if hint is None else hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return hint
    if origin in (Union, types.UnionType):
        left = [plain for each in arguments if (plain := _plain(each)) is not None]
        return functools.reduce(operator.or_, left) if left and left != [type(None)] else None
    if origin is tuple:
        inner = [each if each is Ellipsis else _plain(each) for each in arguments]
        return None if None in inner else tuple[tuple(inner)]  # type: ignore[misc]
    return None
