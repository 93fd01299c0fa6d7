"""Rows of a table as a network's first layer sees them, and the plain network on them: `mlp`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.suites.inputs import InputShape
from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.tasks import Task

Width = Annotated[int, Field(ge=1)]
Depth = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class RowEncoder(nn.Module):
    """A row [N, F] -> [N, `width`]: its numbers as they are, and a learnt vector for each category.

    Args:
        row: says which features are categories.
        embedding: size of such a vector.
    """

    numbers: Tensor
    codes: Tensor
    starts: Tensor

    def __init__(self, row: InputShape, embedding: int) -> None:
        super().__init__()
        sizes = [feature.categories for feature in row.features] or [0] * row[0]
        codes = [position for position, size in enumerate(sizes) if size]
        numbers = [position for position, size in enumerate(sizes) if not size]
        starts = [sum(sizes[:position]) for position in codes]  # one table of vectors holds all categories
        for name, values in (("numbers", numbers), ("codes", codes), ("starts", starts)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)
        self.vectors = nn.Embedding(sum(sizes), embedding) if codes else None
        self.width = len(numbers) + len(codes) * embedding

    def forward(self, row: Tensor) -> Tensor:
        if self.vectors is None:
            return row
        vectors = self.vectors(row.index_select(1, self.codes).long() + self.starts)
        return torch.cat([row.index_select(1, self.numbers), vectors.flatten(1)], dim=1)


def hidden_layers(inputs: int, width: int, depth: int, dropout: float) -> list[nn.Module]:
    """Return `depth` linear layers of `width` units, each with ReLU and, if any, dropout behind it."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        inputs = width
    return layers


@NETWORKS.register("mlp")
class MLP(MultiTaskNetwork):
    """Fully connected layers that all tasks share, on the rows of a table; a head is one linear layer.

    Options:
        embedding: numbers for each category.
        depth, width: of the shared layers.
        dropout: behind each of them.
    """

    inputs = ("row",)

    def __init__(
        self,
        tasks: Sequence[Task],
        row: InputShape,
        *,
        embedding: Width = 8,
        depth: Depth = 2,
        width: Width = 128,
        dropout: Dropout = 0.0,
    ) -> None:
        require_kind("mlp", tasks, dense=False)
        encoder = RowEncoder(row, embedding)
        backbone = nn.Sequential(encoder, *hidden_layers(encoder.width, width, depth, dropout))
        super().__init__(backbone, {task.name: nn.Linear(width, task.outputs) for task in tasks})
