"""DeepLab in two forms: `deeplabv3`, which multi-task studies call DeepLabV3+, and `deeplabv3plus` itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.networks.pretrained import load_pretrained
from mtlsweep.suites.networks.resnet import ResNet, resnet50
from mtlsweep.suites.tasks import Task

WIDTH = 256
LOW_LEVEL_CHANNELS = 256

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
"""Atrous rates by output stride (Chen et al. 2017, 2018)."""


class PooledContext(nn.Sequential):
    """The mean over the image, through a 1x1 convolution, at every pixel."""

    def __init__(self, inputs: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_convolution(inputs, WIDTH, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        pooled: Tensor = super().forward(inputs)  # type: ignore[no-untyped-call]  # of torch
        return pooled.expand(-1, -1, *inputs.shape[-2:])


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling, with the parameter names of torchvision and LibMTL."""

    def __init__(self, inputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        atrous = [nn.Sequential(*_convolution(inputs, WIDTH, 3, rate)) for rate in rates]
        self.convs = nn.ModuleList([nn.Sequential(*_convolution(inputs, WIDTH, 1)), *atrous, PooledContext(inputs)])
        self.project = nn.Sequential(*_convolution(len(self.convs) * WIDTH, WIDTH, 1), nn.Dropout(0.5))

    def forward(self, inputs: Tensor) -> Tensor:
        projected: Tensor = self.project(torch.cat([branch(inputs) for branch in self.convs], dim=1))
        return projected


class DeepLabV3Head(nn.Sequential):
    """ASPP, a 3x3 and a 1x1 convolution, enlarged to the image: 16.13 million parameters for 2048 channels.

    As LibMTL's `DeepLabHead`; enlarging aligns corners, as there.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__(
            ASPP(inputs, RATES[8]), *_convolution(WIDTH, WIDTH, 3), nn.Conv2d(WIDTH, outputs, kernel_size=1)
        )
        self._size = size

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = super().forward(inputs)  # type: ignore[no-untyped-call]  # of torch
        return F.interpolate(logits, self._size, mode="bilinear", align_corners=True)


class DeepLabV3PlusHead(nn.Module):
    """The decoder of Chen et al. 2018: ASPP, enlarged and joined with 48 channels of `layer1`, then two 3x3 convolutions."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], rates: Sequence[int]) -> None:
        super().__init__()
        self.aspp = ASPP(inputs, rates)
        self.low = nn.Sequential(*_convolution(LOW_LEVEL_CHANNELS, 48, 1))
        self.decoder = nn.Sequential(*_convolution(WIDTH + 48, WIDTH, 3), *_convolution(WIDTH, WIDTH, 3))
        self.last = nn.Conv2d(WIDTH, outputs, kernel_size=1)
        self._size = size

    def forward(self, shared: tuple[Tensor, Tensor]) -> Tensor:
        low, high = shared
        enlarged = F.interpolate(self.aspp(high), low.shape[-2:], mode="bilinear", align_corners=False)
        decoded = self.last(self.decoder(torch.cat([enlarged, self.low(low)], dim=1)))
        return F.interpolate(decoded, self._size, mode="bilinear", align_corners=False)


class TwoLevelResNet(nn.Module):
    """A ResNet that returns the outputs of `layer1` and of `layer4`."""

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        self.resnet = resnet

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.resnet.features(inputs)


@NETWORKS.register("deeplabv3")
class DeepLabV3(MultiTaskNetwork):
    """The network of LibMTL's dense examples: ResNet-50 dilated to stride 8, and an ASPP head per task.

    `pretrained`: a local state dict of torchvision's `resnet50`.
    """

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, pretrained: Path | None = None
    ) -> None:
        require_kind("deeplabv3", tasks, dense=True)
        backbone, size = resnet50(input_shape[0], output_stride=8), input_shape[1:]
        super().__init__(backbone, {task.name: DeepLabV3Head(backbone.channels, task.outputs, size) for task in tasks})
        if pretrained is not None:
            load_pretrained(backbone, pretrained)


@NETWORKS.register("deeplabv3plus")
class DeepLabV3Plus(MultiTaskNetwork):
    """DeepLabV3+ with its low-level skip (Chen et al. 2018), on ResNet-50; each task has its own ASPP and decoder.

    `pretrained`: a local state dict of torchvision's `resnet50`.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        input_shape: tuple[int, int, int],
        *,
        output_stride: Literal[8, 16] = 16,
        pretrained: Path | None = None,
    ) -> None:
        require_kind("deeplabv3plus", tasks, dense=True)
        resnet, size, rates = resnet50(input_shape[0], output_stride), input_shape[1:], RATES[output_stride]
        heads = {task.name: DeepLabV3PlusHead(resnet.channels, task.outputs, size, rates) for task in tasks}
        super().__init__(TwoLevelResNet(resnet), heads)
        if pretrained is not None:
            load_pretrained(resnet, pretrained)


def _convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> list[nn.Module]:
    padding = dilation if kernel == 3 else 0
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
