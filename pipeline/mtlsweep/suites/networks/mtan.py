"""A SegNet for all tasks, and for each task attention to its features: `mtan` and `mtan_small`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.networks.pretrained import load_pretrained
from mtlsweep.suites.networks.segnet import (
    VGG16_WIDTHS,
    SegNetBackbone,
    Widths,
    convolutions,
    dense_head,
    enlarge,
    initialise,
    narrower,
)
from mtlsweep.suites.tasks import Task


class _Backbone(nn.Module):
    """A SegNet, and the convolutions through which every task passes its features from stage to stage.

    Image -> for each stage of the encoder the outputs of its first and its last convolution, then for each of the
    decoder, deepest first, its input and its output.
    """

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        above, below = (*widths[1:], widths[-1]), narrower(widths)
        self.segnet = SegNetBackbone(inputs, widths)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for stage, width in enumerate(widths):
            self.down.append(nn.Sequential(*convolutions(width, above[stage], 1)))
            self.up.append(nn.Sequential(*convolutions(width, below[stage], 1)))
        self.apply(initialise)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        shared, seen, places = image, [], []
        for stage in range(self.segnet.depth):
            encoded = self.segnet.encode(stage, shared)
            shared = encoded.pooled
            seen += [encoded.first, encoded.last]
            places.append((encoded.indices, encoded.last.shape[-2:]))
        for stage in reversed(range(self.segnet.depth)):
            enlarged = enlarge(shared, *places[stage])
            shared = self.segnet.decode(stage, enlarged)
            seen += [enlarged, shared]
        return tuple(seen)


class _Head(nn.Module):
    """What only one task reaches: its attention to each stage, and its output layers.

    In each stage a mask, made of what the stage begins with and of the task's features so far, is multiplied with what
    the stage ends with.

    Args:
        backbone: has the convolutions between stages, which are not this head's own.
        widths: channels of each stage.
        outputs: of the task.
    """

    def __init__(self, backbone: _Backbone, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self._between = (backbone.down, backbone.up)  # in a tuple: the backbone is who has their parameters
        below = narrower(widths)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for stage, width in enumerate(widths):
            self.encoder.append(_attention(2 * width if stage else width, width))
            self.decoder.append(_attention(width + below[stage], below[stage]))
        self.apply(initialise)
        self.output = dense_head(widths[0], outputs)

    def forward(self, representation: tuple[Tensor, ...]) -> Tensor:
        down, up = self._between
        depth = len(self.encoder)
        pairs = list(zip(representation[::2], representation[1::2], strict=True))
        own: list[Tensor] = []
        for stage, (first, last) in enumerate(pairs[:depth]):
            mask = self.encoder[stage](torch.cat([first, *own], dim=1))
            own = [F.max_pool2d(down[stage](mask * last), 2)]
        features = own[0]
        for stage, (first, last) in zip(reversed(range(depth)), pairs[depth:], strict=True):
            enlarged = F.interpolate(features, first.shape[-2:], mode="bilinear", align_corners=True)
            mask = self.decoder[stage](torch.cat([first, up[stage](enlarged)], dim=1))
            features = mask * last
        output: Tensor = self.output(features)
        return output


class _MTAN(MultiTaskNetwork):
    one_representation = False

    def __init__(self, name: str, tasks: Sequence[Task], inputs: int, widths: Sequence[int]) -> None:
        require_kind(name, tasks, dense=True)
        backbone = _Backbone(inputs, widths)
        super().__init__(backbone, {task.name: _Head(backbone, widths, task.outputs) for task in tasks})

    def shared_by_heads(self) -> list[Parameter]:
        return [*self.backbone.get_submodule("down").parameters(), *self.backbone.get_submodule("up").parameters()]


@NETWORKS.register("mtan")
class MTAN(_MTAN):
    """Multi-task attention network (Liu, Johns and Davison 2019, arXiv 1803.10704) on the study's SegNet.

    As `model_segnet_mtan.py` of the authors' code (github.com/lorenmt/mtan). The SegNet and the convolutions
    that carry a task's features from stage to stage are shared: 35,163,456 parameters. Each task has its attention modules and
    output layers. With a single task it is the paper's single-task attention network, STAN. Deviations: output layers begin
    with torch's first weights, as those of `segnet`; normals are scaled to length 1 by the task; images of any size are taken.

    Not every shared parameter is below one representation, since each task's features pass the shared convolutions: weightings that
    compare task gradients at the representation are refused. The shared convolutions' BatchNorm sees the features of one
    task after another, as in the authors' code.

    `pretrained`: a local state dict of torchvision's `vgg16_bn` for the encoder.
    """

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, pretrained: Path | None = None
    ) -> None:
        super().__init__("mtan", tasks, input_shape[0], VGG16_WIDTHS)
        if pretrained is not None:
            load_pretrained(self.backbone.get_submodule("segnet.features"), pretrained, prefix="features.")


@NETWORKS.register("mtan_small")
class MTANSmall(_MTAN):
    """`mtan` on the SegNet of `segnet_small`, which learns on a CPU."""

    memory_format = torch.channels_last

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, widths: Widths = (16, 32, 48)
    ) -> None:
        super().__init__("mtan_small", tasks, input_shape[0], widths)


def _attention(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 1x1 convolutions that give a mask between 0 and 1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, kernel_size=1),
        nn.BatchNorm2d(outputs),
        nn.Sigmoid(),
    )
