"""A mixture of experts on the rows of a table: `mmoe`, and the parts that `ple` has too.

Each task weighs experts by a gate of its own, so tasks can share much or little. What more than one task reaches is
shared; the gate that serves one task only belongs to that task's head, as its output layers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.suites.inputs import InputShape
from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.networks.tables import Depth, Dropout, RowEncoder, Width, hidden_layers
from mtlsweep.suites.tasks import Task

Experts = Annotated[int, Field(ge=1)]


class Gate(nn.Module):
    """A mean of experts [N, E, W] -> [N, W], weighed by the softmax of a linear map of `seen` [N, inputs]."""

    def __init__(self, inputs: int, experts: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, experts)

    def forward(self, seen: Tensor, experts: Tensor) -> Tensor:
        mixed: Tensor = (self.layer(seen).softmax(dim=1).unsqueeze(1) @ experts).squeeze(1)
        return mixed


class ExpertGroup(nn.Module):
    """Several experts that see the same: [N, inputs] -> [N, E, W]."""

    def __init__(self, count: int, inputs: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(*hidden_layers(inputs, width, depth, dropout)) for _ in range(count))

    def forward(self, seen: Tensor) -> Tensor:
        return torch.stack([expert(seen) for expert in self.experts], dim=1)


class SharedExperts(nn.Module):
    """Row -> (what gates see, the experts that all tasks share)."""

    def __init__(self, encoder: RowEncoder, experts: ExpertGroup) -> None:
        super().__init__()
        self.encoder, self.experts = encoder, experts

    def forward(self, row: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.encoder(row)
        return seen, self.experts(seen)


class _Head(nn.Module):
    def __init__(self, gate: Gate, tower: nn.Module) -> None:
        super().__init__()
        self.gate, self.tower = gate, tower

    def forward(self, representation: tuple[Tensor, Tensor]) -> Tensor:
        output: Tensor = self.tower(self.gate(*representation))
        return output


@NETWORKS.register("mmoe")
class MMoE(MultiTaskNetwork):
    """Multi-gate mixture of experts (Ma et al., KDD 2018): all experts are shared, gates and towers are the tasks'.

    Options:
        embedding: numbers for each category.
        experts: how many.
        width, depth: of an expert.
        tower: units of the hidden layer of a task's tower.
        dropout: behind each hidden layer of the experts.
    """

    inputs = ("row",)

    def __init__(
        self,
        tasks: Sequence[Task],
        row: InputShape,
        *,
        embedding: Width = 8,
        experts: Experts = 4,
        width: Width = 64,
        depth: Depth = 1,
        tower: Width = 32,
        dropout: Dropout = 0.0,
    ) -> None:
        require_kind("mmoe", tasks, dense=False)
        encoder = RowEncoder(row, embedding)
        shared = ExpertGroup(experts, encoder.width, width, depth, dropout)
        heads = {task.name: _Head(Gate(encoder.width, experts), tower_of(width, tower, task.outputs)) for task in tasks}
        super().__init__(SharedExperts(encoder, shared), heads)


def tower_of(inputs: int, width: int, outputs: int) -> nn.Module:
    """Return the output layers of one task: one hidden layer of `width` units."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))
