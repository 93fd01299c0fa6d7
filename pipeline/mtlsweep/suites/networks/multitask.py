"""A backbone that all tasks share, then one head per task."""

from __future__ import annotations

import inspect
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.suites.inputs import IMAGE, InputShape, check_taken
from mtlsweep.suites.tasks import Task

NETWORKS: Registry[MultiTaskNetwork] = Registry("network", "mtlsweep.suites.networks")
Representation = Tensor | tuple[Tensor, ...]


class Heads(nn.ModuleDict):
    """Heads by task. `nn.ModuleDict` refuses a task that has the name of one of its attributes, such as `type` or `values`.

    Such a head is stored under the task's name with a mark that no name of a task can have.
    """

    def __getitem__(self, task: str) -> nn.Module:
        return super().__getitem__(_stored(task))

    def __setitem__(self, task: str, head: nn.Module) -> None:
        super().__setitem__(_stored(task), head)

    def __delitem__(self, task: str) -> None:
        super().__delitem__(_stored(task))

    def __contains__(self, task: str) -> bool:
        return super().__contains__(_stored(task))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> KeysView[str]:
        return dict(self.items()).keys()

    def items(self) -> ItemsView[str, nn.Module]:
        return {name.removesuffix(_MARK): head for name, head in super().items()}.items()


_MARK = "!"
_TAKEN = frozenset(dir(nn.ModuleDict()))


def _stored(task: str) -> str:
    return f"{task}{_MARK}" if task in _TAKEN else task


class MultiTaskNetwork(nn.Module):
    """A shared backbone and a head for each task.

    Args:
        backbone: the columns that `inputs` names, such as images [N, C, H, W] -> representation, a tensor or a tuple
            of tensors. All its parameters are shared.
        heads: by task name; representation -> output ([N, outputs], or [N, outputs, H, W] if dense).
    """

    one_representation: ClassVar[bool] = True
    """Whether task gradients may be compared at the representation: each task sees all of it, and heads share nothing.
    If not, weightings that compare them there are refused."""

    inputs: ClassVar[tuple[str, ...]] = (IMAGE,)
    """The input columns that the network takes, in the order of the backbone's arguments.

    A registered network is built with the tasks and, for each of them, the shape of a row (an `InputShape`).
    """

    memory_format: torch.memory_format = torch.contiguous_format
    """Memory format of the inputs [N, C, H, W]; small networks run 1.3 to 1.6 times faster on a CPU with channels last.

    Parameters keep theirs: gradients, optimizers and checkpoints see nothing of it.
    """

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = Heads(heads)

    def representation(self, inputs: Mapping[str, Tensor]) -> Representation:
        """Return what all heads see; `inputs` are those of a batch, by column."""
        shared: Representation = self.backbone(*(self._laid_out(inputs[name]) for name in self.inputs))
        return shared

    def _laid_out(self, values: Tensor) -> Tensor:
        return values.contiguous(memory_format=self.memory_format) if values.ndim == 4 else values.contiguous()

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        shared = self.representation(inputs)
        return {task: head(shared) for task, head in self.heads.items()}

    def shared_parameters(self) -> list[Parameter]:
        """Return the parameters that more than one task trains, or that a network of one task has for sharing."""
        return list(self.backbone.parameters())

    def shared_by_heads(self) -> list[Parameter]:
        """Return the parameters of the backbone that heads use on the representation; a network with any overrides this."""
        return []

    def head_parameters(self, task: str) -> list[Parameter]:
        """Return the parameters that only `task` trains."""
        return list(self.heads[task].parameters())


def taken_inputs(network: str) -> tuple[str, ...]:
    """Return the names of the inputs that a network of this name takes.

    A class names them in `inputs`, a function by its parameters after the first, which is the tasks.
    """
    entry = NETWORKS.get(network)
    if inspect.isclass(entry):
        return tuple(getattr(entry, "inputs", MultiTaskNetwork.inputs))
    parameters = inspect.signature(entry).parameters.values()
    return tuple(one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD)[1:]


def has_one_representation(network: str) -> bool:
    """Return `MultiTaskNetwork.one_representation` of a network of this name; a function may have the attribute, too."""
    return bool(getattr(NETWORKS.get(network), "one_representation", MultiTaskNetwork.one_representation))


def create_network(network: Choice, tasks: Sequence[Task], inputs: Mapping[str, InputShape]) -> MultiTaskNetwork:
    """Return the network that `network` names, for these tasks and the inputs of prepared data.

    Raises:
        UserError: the network takes an input that is not there, cannot serve a task, or is none of several tasks.
    """
    taken = taken_inputs(network.name)
    check_taken(network.name, taken, inputs)
    made: object = NETWORKS.create(network, tasks, *(inputs[name] for name in taken))
    if not isinstance(made, MultiTaskNetwork):
        raise UserError(
            f"network `{network.name}` gives {type(made).__name__}, which is no network of several tasks: name a function that "
            "returns what `mtlsweep.from_module` gives."
        )
    return made


def require_kind(network: str, tasks: Sequence[Task], *, dense: bool) -> None:
    """Check that every task is of the kind that a network's heads can serve.

    Raises:
        UserError: a task wants an output at every pixel and the network has none, or the opposite.
    """
    for task in tasks:
        if task.dense != dense:
            wants, gives = (
                ("every pixel", "the image as a whole") if task.dense else ("the image as a whole", "every pixel")
            )
            fitting = (
                "segnet_small, segnet, mtan, cross_stitch, deeplabv3, deeplabv3plus"
                if task.dense
                else "lenet, resnet18"
            )
            raise UserError(
                f"network `{network}` has one output for {gives}, but task `{task.name}` ({task.kind}) needs one for {wants}: "
                f"choose {fitting} or a network of your own."
            )
