"""A SegNet for each task, whose features are mixed between stages: `cross_stitch` and `cross_stitch_small`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, require_kind
from mtlsweep.suites.networks.pretrained import load_pretrained
from mtlsweep.suites.networks.segnet import VGG16_WIDTHS, SegNetBackbone, Width, dense_head, enlarge
from mtlsweep.suites.tasks import Task

OWN_SHARE = 0.9
"""First weight of a task's own features; the others share the rest, as Misra et al. begin."""

Widths = Annotated[tuple[Width, ...], Field(min_length=2, max_length=5)]


class _Mixture(nn.Module):
    """One task's row of a cross-stitch unit: the features of all tasks, T times [N, C, H, W] -> [N, C, H, W].

    `weights` [T, C]: of each task's features, channel by channel. A single task has none.
    """

    def __init__(self, own: int, tasks: int, channels: int) -> None:
        super().__init__()
        self.weights: nn.Parameter | None = None
        if tasks > 1:
            shares = torch.full((tasks, channels), (1 - OWN_SHARE) / (tasks - 1))
            shares[own] = OWN_SHARE
            self.weights = nn.Parameter(shares)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        if self.weights is None:
            return features[0]
        shares = self.weights[:, :, None, None]
        mixed = shares[0] * features[0]
        for share, one in zip(shares[1:], features[1:], strict=True):
            mixed = torch.addcmul(mixed, share, one)
        return mixed


class _Unit(nn.ModuleList):
    """A row for each task: the features of all tasks -> the features with which each task continues."""

    def __init__(self, tasks: int, channels: int) -> None:
        super().__init__(_Mixture(own, tasks, channels) for own in range(tasks))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [row(features) for row in self]


class _Backbone(nn.Module):
    """A SegNet for each of T tasks without the decoder's last stage; a unit before each stage but the first.

    Image -> features of each task before the decoder's last stage, then where each task's first pooling took its numbers from.
    """

    def __init__(self, networks: Sequence[SegNetBackbone], widths: Sequence[int]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._networks = list(networks)
        self.units = nn.ModuleList(_Unit(len(networks), width) for width in (*widths[:-1], *widths[:0:-1]))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features, places, units = [image] * len(self._networks), [], iter(self.units)
        depth = self._networks[0].depth
        for stage in range(depth):
            mixed = next(units)(features) if stage else features
            encoded = [network.encode(stage, one) for network, one in zip(self._networks, mixed, strict=True)]
            features = [one.pooled for one in encoded]
            places.append([(one.indices, one.last.shape[-2:]) for one in encoded])
        for stage in reversed(range(1, depth)):
            mixed = next(units)(features)
            features = [
                network.decode(stage, enlarge(one, *place))
                for network, one, place in zip(self._networks, mixed, places[stage], strict=True)
            ]
        return (*features, *(indices for indices, _ in places[0]))


class _Head(nn.Module):
    """What only one task reaches: its row of the last unit, the last stage of its decoder, and its output layers.

    Args:
        number: of the task.
        size: of the image.
    """

    def __init__(self, number: int, row: _Mixture, last: nn.Module, output: nn.Module, size: Sequence[int]) -> None:
        super().__init__()
        self._number, self._size = number, size
        self.row, self.last, self.output = row, last, output

    def forward(self, representation: tuple[Tensor, ...]) -> Tensor:
        tasks = len(representation) // 2
        mixed = self.row(representation[:tasks])
        output: Tensor = self.output(self.last(enlarge(mixed, representation[tasks + self._number], self._size)))
        return output


class _CrossStitch(MultiTaskNetwork):
    def __init__(self, name: str, tasks: Sequence[Task], input_shape: Sequence[int], widths: Sequence[int]) -> None:
        require_kind(name, tasks, dense=True)
        networks = [SegNetBackbone(input_shape[0], widths) for _ in tasks]
        heads = {
            task.name: _Head(
                number,
                _Mixture(number, len(tasks), widths[0]),
                network.decoder.pop(-1),
                dense_head(widths[0], task.outputs),
                input_shape[1:],
            )
            for number, (task, network) in enumerate(zip(tasks, networks, strict=True))
        }
        super().__init__(_Backbone(networks, widths), heads)


@NETWORKS.register("cross_stitch")
class CrossStitch(_CrossStitch):
    """Cross-stitch network (Misra et al. 2016, arXiv 1604.03539) of the study's SegNets, one for each task.

    Before each stage but the first, a unit mixes the features of all tasks, channel by channel, for each task with
    weights of its own. Where units are is as in `model_segnet_cross.py` of MTAN's authors (github.com/lorenmt/mtan), whose units
    give every task the same mixture, without channels; those of the paper and these do not. Features of one task
    reach all tasks through the units, so what is shared is nearly everything: all but the tasks' rows of the last unit, the last stage of
    their decoders and their output layers. With a single task it is `segnet`.

    Deviations from the paper: the networks begin with random weights and not with those of single-task training, and units
    learn at the network's rate, where the paper takes 100 to 1000 times that.

    `pretrained`: a local state dict of torchvision's `vgg16_bn` for each task's encoder.
    """

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, pretrained: Path | None = None
    ) -> None:
        super().__init__("cross_stitch", tasks, input_shape, VGG16_WIDTHS)
        if pretrained is not None:
            for number in range(len(tasks)):
                features = self.backbone.get_submodule(f"networks.{number}.features")
                load_pretrained(features, pretrained, prefix="features.")


@NETWORKS.register("cross_stitch_small")
class CrossStitchSmall(_CrossStitch):
    """`cross_stitch` of networks as `segnet_small`, which learn on a CPU."""

    memory_format = torch.channels_last

    def __init__(
        self, tasks: Sequence[Task], input_shape: tuple[int, int, int], *, widths: Widths = (16, 32, 48)
    ) -> None:
        super().__init__("cross_stitch_small", tasks, input_shape, widths)
