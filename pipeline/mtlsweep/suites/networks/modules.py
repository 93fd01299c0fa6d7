"""A network of a user's own `torch.nn.Module`, whose backbone and heads are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from mtlsweep.errors import UserError
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.networks.multitask import MultiTaskNetwork
from mtlsweep.suites.tasks import Task


def from_module(
    module: nn.Module, tasks: Sequence[Task], backbone: str, heads: Mapping[str, str], inputs: Sequence[str] = (IMAGE,)
) -> MultiTaskNetwork:
    """Return a network of parts of a module, to be named in params.yaml through a function of the tasks and input shapes.

    The module's own `forward` is not used: a task's output is its head applied to what the backbone returns.

    Args:
        module: has the parts.
        tasks: those that the network is asked for; a single-task baseline leaves the other heads out.
        backbone: name of the part that all tasks share, such as `encoder` or `model.trunk`.
        heads: for each task the name of its head.
        inputs: the input columns that the backbone takes, in the order of its arguments.

    Raises:
        UserError: a task has no head, the module has no part of that name, a part is named twice, a parameter is in two parts, or a
            trainable parameter of the module is in none.
    """
    if missing := [task.name for task in tasks if task.name not in heads]:
        raise UserError(f"task `{missing[0]}` has no head; heads are named for {', '.join(heads)}.")
    parts = {name: _part(module, name) for name in (backbone, *heads.values())}
    if len(parts) < 1 + len(heads):
        raise UserError(
            f"backbone `{backbone}` and heads {dict(heads)}: each needs a part of its own, and one is named twice."
        )
    _check_parameters(module, parts)
    network = MultiTaskNetwork(parts[backbone], {task.name: parts[heads[task.name]] for task in tasks})
    network.inputs = tuple(inputs)  # type: ignore[misc]
    return network


def _part(module: nn.Module, name: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError as error:
        found = ", ".join(child for child, _ in module.named_children())
        raise UserError(f"{type(module).__name__} has no part `{name}`; its parts are {found}.") from error


def _check_parameters(module: nn.Module, parts: Mapping[str, nn.Module]) -> None:
    owners: dict[nn.Parameter, str] = {}
    for name, part in parts.items():
        for parameter in part.parameters():
            if owners.setdefault(parameter, name) != name:
                raise UserError(
                    f"`{owners[parameter]}` and `{name}` of {type(module).__name__} share a parameter: a parameter belongs to the "
                    "backbone or to one head."
                )
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter not in owners:
            raise UserError(
                f"parameter `{name}` of {type(module).__name__} ({tuple(parameter.shape)}) is in neither the backbone nor a head, "
                "and would not be trained: put it into one, or freeze it."
            )
