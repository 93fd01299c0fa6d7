"""LeNet with dropout, for MultiMNIST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.tasks import Task

Probability = Annotated[float, Field(ge=0, lt=1)]


@NETWORKS.register("multi_lenet")
class MultiLeNet(MultiTaskNetwork):
    """The network of Gama and Grassi (2025, arXiv 2505.10347), after Sener and Koltun (2018).

    Two 5x5 convolutions of 10 and 20 channels with 2x2 maximum pooling and one shared layer of 50 units; a head has a
    hidden layer of 50 units. Dropout follows the second convolution and each head's hidden layer. (`lenet` has none: a
    new option would change the keys of its trials.)

    Args:
        tasks: whose heads to make.
        input_shape: C, H, W.
        dropout: probability with which an element is dropped.
    """

    memory_format = torch.channels_last

    def __init__(self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, dropout: Probability = 0.0) -> None:
        require_kind("multi_lenet", tasks, dense=False)
        features = nn.Sequential(
            nn.Conv2d(input_shape[0], 10, kernel_size=5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(10, 20, kernel_size=5),
            nn.Dropout(dropout),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
        )
        with torch.no_grad():
            flat = features(torch.zeros(1, *input_shape)).shape[1]
        backbone = nn.Sequential(*features, nn.Linear(flat, 50), nn.ReLU())
        super().__init__(backbone, {task.name: _head(task.outputs, dropout) for task in tasks})


def _head(outputs: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Linear(50, 50), nn.ReLU(), nn.Dropout(dropout), nn.Linear(50, outputs))
