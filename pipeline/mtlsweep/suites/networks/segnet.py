"""SegNet as in MTAN's multi-task code ("split"): one encoder-decoder for all tasks, two convolutions per head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
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

LAYERS = 3
"""Modules of one of `convolutions`: convolution, BatchNorm, ReLU."""


class Encoded(NamedTuple):
    """What a stage of the encoder makes of its input.

    Attributes:
        first: output of its first convolution.
        last: output of its last one, of the same size.
        pooled: `last` at half the size.
        indices: where each number of `pooled` was in `last`.
    """

    first: Tensor
    last: Tensor
    pooled: Tensor
    indices: Tensor


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
        self.depth = len(widths)
        self.features, self.decoder = nn.ModuleList(), nn.ModuleList()
        channels = inputs
        for width, count in zip(widths, CONVOLUTIONS, strict=False):
            self.features.extend(convolutions(channels, width, count))
            self.features.append(nn.MaxPool2d(2, return_indices=True))
            channels = width
        below = narrower(widths)
        for stage in reversed(range(self.depth)):
            self.decoder.append(nn.Sequential(*convolutions(widths[stage], below[stage], CONVOLUTIONS[stage])))
        self.apply(initialise)
        ends = [place for place, layer in enumerate(self.features, 1) if isinstance(layer, nn.MaxPool2d)]
        self._stages = [list(self.features)[start:end] for start, end in pairwise([0, *ends])]

    def encode(self, stage: int, inputs: Tensor) -> Encoded:
        """Run one stage of the encoder, counted from 0."""
        *layers, pool = self._stages[stage]
        first = _run(layers[:LAYERS], inputs)
        last = _run(layers[LAYERS:], first)
        return Encoded(first, last, *pool(last))

    def decode(self, stage: int, inputs: Tensor) -> Tensor:
        """Run the stage of the decoder that mirrors this one of the encoder, on what `enlarge` returns."""
        decoded: Tensor = self.decoder[self.depth - 1 - stage](inputs)
        return decoded

    def forward(self, inputs: Tensor) -> Tensor:
        shared, places = inputs, []
        for stage in range(self.depth):
            encoded = self.encode(stage, shared)
            shared = encoded.pooled
            places.append((encoded.indices, encoded.last.shape[-2:]))
        for stage in reversed(range(self.depth)):
            shared = self.decode(stage, enlarge(shared, *places[stage]))
        return shared


class SegNet(MultiTaskNetwork):
    """A SegNet of the given widths; see `SegNetBackbone`."""

    def __init__(self, name: str, tasks: Sequence[Task], inputs: int, widths: Sequence[int]) -> None:
        require_kind(name, tasks, dense=True)
        super().__init__(
            SegNetBackbone(inputs, widths), {task.name: dense_head(widths[0], task.outputs) for task in tasks}
        )


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


def narrower(widths: Sequence[int]) -> tuple[int, ...]:
    """Return how many channels each stage of the decoder returns: those of the stage above."""
    return (widths[0], *widths[:-1])


def convolutions(inputs: int, outputs: int, count: int) -> list[nn.Module]:
    """Return `count` 3x3 convolutions, the first of which changes the channels, each with BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    return layers


def enlarge(inputs: Tensor, indices: Tensor, size: Sequence[int]) -> Tensor:
    """Return `inputs` at the `size` (H, W) from before they were pooled, each number at its place in `indices`."""
    return F.max_unpool2d(inputs, indices, [2, 2], output_size=list(size))


def dense_head(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3x3 and a 1x1 convolution, as MTAN's."""
    return nn.Sequential(nn.Conv2d(inputs, inputs, kernel_size=3, padding=1), nn.Conv2d(inputs, outputs, kernel_size=1))


def initialise(module: nn.Module) -> None:
    """Give a convolution MTAN's first weights."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _run(layers: Sequence[nn.Module], inputs: Tensor) -> Tensor:
    for layer in layers:
        inputs = layer(inputs)
    return inputs
