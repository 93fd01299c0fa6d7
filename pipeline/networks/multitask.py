"""Hard parameter sharing: a backbone, then one head per task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import Parameter

from pipeline.registry import Registry

NETWORKS: Registry[Any] = Registry("network", "pipeline.networks")

Representation = Tensor | tuple[Tensor, ...]


class MultiTaskNetwork(nn.Module):
    """A shared backbone and a head for each task.

    Args:
        backbone: inputs [N, C, H, W] -> representation, a tensor or a tuple of tensors.
        heads: by task name; representation -> output ([N, outputs], or [N, outputs, H, W] if dense).
    """

    def __init__(self, backbone: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleDict(heads)

    def representation(self, inputs: Tensor) -> Representation:
        """Return what all heads see."""
        shared: Representation = self.backbone(inputs)
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
