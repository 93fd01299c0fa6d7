"""SegNet as in MTAN's multi-task code ("split"): one encoder-decoder for all tasks, two convolutions per head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.networks.pretrained import load_pretrained
from mtlsweep.suites.tasks import Task

Width = Annotated[int, Field(ge=1)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=5)]
VGG16_WIDTHS = (64, 128, 256, 512, 512)

CONVOLUTIONS = (2, 2, 3, 3, 3)
"""How many convolutions the stages of VGG-16 have."""


class SegNetBackbone(nn.Module):
    """An encoder that halves the image after each stage, and a decoder that mirrors it.

    The decoder unpools with the encoder's indices; its stages narrow in their first convolution (MTAN's
    do, those of the original SegNet in their last). The encoder has the convolutions and the
    parameter names of torchvision's `vgg16_bn` (`features.0.weight`, ...).

    Args:
        inputs: channels of the image.
        widths: channels of each stage.
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.features, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.unpool = nn.MaxUnpool2d(2)
        channels = inputs
        for width, count in zip(widths, CONVOLUTIONS, strict=False):
            self.features.extend(_convolutions(channels, width, count))
            self.features.append(nn.MaxPool2d(2, return_indices=True))
            channels = width
        below = (widths[0], *widths[:-1])
        for stage in reversed(range(len(widths))):
            self.decoder.append(nn.Sequential(*_convolutions(widths[stage], below[stage], CONVOLUTIONS[stage])))
        self.apply(_initialise)

    def forward(self, inputs: Tensor) -> Tensor:
        shared, pooled = inputs, []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                size = shared.shape
                shared, indices = layer(shared)
                pooled.append((indices, size))
            else:
                shared = layer(shared)
        for stage in self.decoder:
            indices, size = pooled.pop()
            shared = stage(self.unpool(shared, indices, output_size=size[-2:]))
        return shared


class SegNet(MultiTaskNetwork):
    """A SegNet of the given widths; see `SegNetBackbone`."""

    def __init__(self, name: str, tasks: Sequence[Task], inputs: int, widths: Sequence[int]) -> None:
        require_kind(name, tasks, dense=True)
        super().__init__(SegNetBackbone(inputs, widths), {task.name: _head(widths[0], task.outputs) for task in tasks})


@NETWORKS.register("segnet")
class SegNetVGG16(SegNet):
    """The study's SegNet: 24,943,296 shared parameters.

    `pretrained`: a local state dict of torchvision's `vgg16_bn` for the encoder.
    """

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, pretrained: Path | None = None
    ) -> None:
        super().__init__("segnet", tasks, input_shape[0], VGG16_WIDTHS)
        if pretrained is not None:
            load_pretrained(self.backbone.get_submodule("features"), pretrained, prefix="features.")


@NETWORKS.register("segnet_small")
class SegNetSmall(SegNet):
    """A SegNet that learns on a CPU: about 120,000 parameters with three heads."""

    memory_format = torch.channels_last

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, widths: Widths = (16, 32, 48)
    ) -> None:
        super().__init__("segnet_small", tasks, input_shape[0], widths)


def _convolutions(inputs: int, outputs: int, count: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    return layers


def _head(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, inputs, kernel_size=3, padding=1), nn.Conv2d(inputs, outputs, kernel_size=1))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):  # as MTAN does
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
