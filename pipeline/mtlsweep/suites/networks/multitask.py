"""Hard parameter sharing: a backbone, then one head per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from mtlsweep.errors import UserError
from mtlsweep.params.registry import Registry
from mtlsweep.suites.tasks import Task

NETWORKS: Registry[MultiTaskNetwork] = Registry("network", "mtlsweep.suites.networks")
Representation = Tensor | tuple[Tensor, ...]


class MultiTaskNetwork(nn.Module):
    """A shared backbone and a head for each task.

    Args:
        backbone: inputs [N, C, H, W] -> representation, a tensor or a tuple of tensors.
        heads: by task name; representation -> output ([N, outputs], or [N, outputs, H, W] if dense).
    """

    memory_format: ClassVar[torch.memory_format] = torch.contiguous_format
    """Memory format of the input images; small networks run 1.3 to 1.6 times faster on a CPU with channels last."""

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)

    def representation(self, inputs: Tensor) -> Representation:
        """Return what all heads see."""
        shared: Representation = self.backbone(inputs.contiguous(memory_format=self.memory_format))
        return shared

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        shared = self.representation(inputs)
        return {task: head(shared) for task, head in self.heads.items()}

    def shared_parameters(self) -> list[Parameter]:
        """Return the parameters that every task trains."""
        return list(self.backbone.parameters())

    def head_parameters(self, task: str) -> list[Parameter]:
        """Return the parameters that only `task` trains."""
        return list(self.heads[task].parameters())


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
            fitting = "segnet_small, segnet, deeplabv3, deeplabv3plus" if task.dense else "lenet, resnet18"
            raise UserError(
                f"network `{network}` has one output for {gives}, but task `{task.name}` ({task.kind}) needs one for {wants}: "
                f"choose {fitting} or a network of your own."
            )
