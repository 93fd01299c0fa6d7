"""Shared experts and experts of each task, in one or two levels: `ple`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mtlsweep.suites.inputs import InputShape
from mtlsweep.suites.networks.mixtures import ExpertGroup, Experts, Gate, SharedExperts, tower_of
from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.networks.tables import Depth, Dropout, RowEncoder, Width
from mtlsweep.suites.tasks import Task


class _TwoLevels(nn.Module):
    """Row -> (what gates see, shared experts of the second level, those of the first, each task's of the first).

    Through the gate of the shared experts all tasks reach the first level's experts of each task: they are shared.
    """

    def __init__(
        self, encoder: RowEncoder, first: ExpertGroup, own: Sequence[ExpertGroup], gate: Gate, second: ExpertGroup
    ) -> None:
        super().__init__()
        self.encoder, self.first, self.gate, self.second = encoder, first, gate, second
        self.own = nn.ModuleList(own)

    def forward(self, row: Tensor) -> tuple[Tensor, ...]:
        seen = self.encoder(row)
        first, own = self.first(seen), [experts(seen) for experts in self.own]
        return seen, self.second(self.gate(seen, torch.cat([*own, first], dim=1))), first, *own


class _Head(nn.Module):
    """What only one task reaches: its last experts, its gates and its output layers.

    Args:
        number: of the task.
        first_gate: of the first of two levels, or None.
        own: experts of the last level. gate: of them and of the shared ones.
        tower: output layers.
    """

    def __init__(self, number: int, first_gate: Gate | None, own: ExpertGroup, gate: Gate, tower: nn.Module) -> None:
        super().__init__()
        self.number = number
        self.first_gate, self.own, self.gate, self.tower = first_gate, own, gate, tower

    def forward(self, representation: tuple[Tensor, ...]) -> Tensor:
        seen, shared, *first_level = representation
        if self.first_gate is not None:
            first, *own = first_level
            seen = self.first_gate(seen, torch.cat([own[self.number], first], dim=1))
        output: Tensor = self.tower(self.gate(seen, torch.cat([self.own(seen), shared], dim=1)))
        return output


@NETWORKS.register("ple")
class PLE(MultiTaskNetwork):
    """Progressive layered extraction (Tang et al., RecSys 2020); with one level it is their CGC.

    Beside the shared experts each task has experts of its own, and its gate weighs both. In the first of two levels a gate
    of the shared experts weighs all of them.

    Options:
        embedding: numbers for each category.
        levels: of experts.
        shared_experts, task_experts: in each level, how many all tasks share, and how many each task has.
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
        levels: Literal[1, 2] = 2,
        shared_experts: Experts = 2,
        task_experts: Experts = 2,
        width: Width = 64,
        depth: Depth = 1,
        tower: Width = 32,
        dropout: Dropout = 0.0,
    ) -> None:
        require_kind("ple", tasks, dense=False)
        encoder = RowEncoder(row, embedding)
        last = encoder.width if levels == 1 else width  # numbers that experts and gates of the last level see
        weighed = task_experts + shared_experts

        def group(count: int, inputs: int) -> ExpertGroup:
            return ExpertGroup(count, inputs, width, depth, dropout)

        backbone: nn.Module
        if levels == 1:
            backbone = SharedExperts(encoder, group(shared_experts, last))
        else:
            own = [group(task_experts, encoder.width) for _ in tasks]
            gate = Gate(encoder.width, len(tasks) * task_experts + shared_experts)
            backbone = _TwoLevels(encoder, group(shared_experts, encoder.width), own, gate, group(shared_experts, last))
        heads = {
            task.name: _Head(
                number,
                Gate(encoder.width, weighed) if levels == 2 else None,
                group(task_experts, last),
                Gate(last, weighed),
                tower_of(width, tower, task.outputs),
            )
            for number, task in enumerate(tasks)
        }
        super().__init__(backbone, heads)
