"""Residual networks with torchvision's parameter names, so that its weights load (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.networks.pretrained import load_pretrained
from mtlsweep.suites.tasks import Task


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride, dilation)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(inputs)))))
        return torch.relu(residual + (inputs if self.downsample is None else self.downsample(inputs)))


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride, as in torchvision) and 1x1 convolution, and a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        inner = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(inputs))))))
        return torch.relu(
            self.bn3(self.conv3(inner)) + (inputs if self.downsample is None else self.downsample(inputs))
        )


class ResNet(nn.Module):
    """A residual network without its classifier.

    Args:
        inputs: channels of the image.
        block: kind of block.
        blocks: number of blocks in each of the four layers.
        output_stride: 32, or 16 or 8 to dilate the last layers instead of striding.
    """

    def __init__(
        self, inputs: int, block: type[BasicBlock] | type[Bottleneck], blocks: Sequence[int], output_stride: int = 32
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        channels, dilation, reached = 64, 1, 4
        for number, (width, count) in enumerate(zip((64, 128, 256, 512), blocks, strict=True), start=1):
            stride, first_dilation = (1 if number == 1 else 2), dilation
            if reached * stride > output_stride:
                stride, dilation = 1, 2 * dilation
            reached *= stride
            layers = [block(channels, width, stride, first_dilation)]
            channels = width * block.expansion
            layers += [block(channels, width, 1, dilation) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*layers))
        self.channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs of `layer1` (stride 4) and `layer4`."""
        stem = self.maxpool(torch.relu(self.bn1(self.conv1(inputs))))
        low = self.get_submodule("layer1")(stem)
        middle = self.get_submodule("layer3")(self.get_submodule("layer2")(low))
        return low, self.get_submodule("layer4")(middle)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.features(inputs)[1]


class PooledResNet(ResNet):
    """A ResNet and the mean of its output over the image: [N, channels]."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).mean(dim=(2, 3))


@NETWORKS.register("resnet18")
class ResNet18(MultiTaskNetwork):
    """ResNet-18 with one linear layer per task: 11,176,512 shared parameters.

    `pretrained`: a local state dict of torchvision's `resnet18`.
    """

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, pretrained: Path | None = None
    ) -> None:
        require_kind("resnet18", tasks, dense=False)
        backbone = PooledResNet(input_shape[0], BasicBlock, (2, 2, 2, 2))
        super().__init__(backbone, {task.name: nn.Linear(backbone.channels, task.outputs) for task in tasks})
        if pretrained is not None:
            load_pretrained(backbone, pretrained)


def resnet50(inputs: int, output_stride: int) -> ResNet:
    """Return a ResNet-50 without classifier: 23,508,032 parameters for images of 3 channels."""
    return ResNet(inputs, Bottleneck, (3, 4, 6, 3), output_stride)


def _conv3x3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
