"""LeNet as in the multi-task MNIST studies: two convolutions, one shared layer, a head per task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.tasks import Task

Width = Annotated[int, Field(ge=1)]


@NETWORKS.register("lenet")
class LeNet(MultiTaskNetwork):
    """Two 5x5 convolutions that each halve the image, then one fully connected layer.

    The form of Sener and Koltun (2018) without its dropout. A head is one linear layer, or two with
    `head_width` units between them. `downsampling: stride` leaves out the 2x2 max pooling and gives
    the convolutions a stride of 2: the same parameters at less than a third of the cost.
    """

    memory_format = torch.channels_last

    def __init__(
        self,
        tasks: Sequence[Task],
        input_shape: tuple[int, int, int],
        *,
        channels: tuple[Width, Width] = (10, 20),
        shared_width: Width = 50,
        head_width: Annotated[int, Field(ge=0)] = 0,
        downsampling: Literal["pool", "stride"] = "pool",
    ) -> None:
        require_kind("lenet", tasks, dense=False)
        features = nn.Sequential(
            *_halving_convolution(input_shape[0], channels[0], downsampling),
            *_halving_convolution(channels[0], channels[1], downsampling),
            nn.Flatten(),
        )
        with torch.no_grad():
            flat = features(torch.zeros(1, *input_shape)).shape[1]
        backbone = nn.Sequential(*features, nn.Linear(flat, shared_width), nn.ReLU())
        super().__init__(backbone, {task.name: _head(shared_width, head_width, task.outputs) for task in tasks})


def _halving_convolution(inputs: int, outputs: int, downsampling: str) -> list[nn.Module]:
    if downsampling == "stride":
        return [nn.Conv2d(inputs, outputs, kernel_size=5, stride=2), nn.ReLU()]
    return [nn.Conv2d(inputs, outputs, kernel_size=5), nn.MaxPool2d(2), nn.ReLU()]


def _head(inputs: int, hidden: int, outputs: int) -> nn.Module:
    if not hidden:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
