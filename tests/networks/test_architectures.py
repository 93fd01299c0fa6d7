"""Architectures: their parameters, counted; their names, torchvision's; their outputs, at every size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.networks import NETWORKS, MultiTaskNetwork
from mtlsweep.suites.networks.resnet import resnet50
from mtlsweep.suites.networks.segnet import SegNetBackbone
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.attribute import Attribute
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals
from mtlsweep.suites.tasks.segmentation import Segmentation

NYUV2: tuple[Task, ...] = (Segmentation("label", classes=13), Depth("depth"), Normals("normal"))
CITYSCAPES: tuple[Task, ...] = (Segmentation("label", classes=7), Depth("depth", inverse=True))
CELEBA: tuple[Task, ...] = tuple(Attribute(f"attribute{number}") for number in range(40))


def create(name: str, tasks: Sequence[Task], shape: tuple[int, int, int], **options: object) -> MultiTaskNetwork:
    choice = NETWORKS.resolve(Choice(name=name, options=options))
    network: MultiTaskNetwork = NETWORKS.create(choice, tasks, shape)
    return network


def count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize(
    ("name", "tasks", "shared", "heads"),
    [
        ("segnet", NYUV2, 24_943_296, [37_773, 36_993, 37_123]),
        ("segnet", CITYSCAPES, 24_943_296, [37_383, 36_993]),
        ("segnet_small", NYUV2, 116_832, [2_541, 2_337, 2_371]),
        ("mtan", NYUV2, 35_163_456, [3_022_349, 3_021_569, 3_021_699]),
        ("cross_stitch", CITYSCAPES, 49_747_840, [111_623, 111_233]),
        ("deeplabv3", NYUV2, 23_508_032, [16_128_781, 16_125_697, 16_126_211]),
        ("deeplabv3plus", NYUV2, 23_508_032, [16_842_093, 16_839_009, 16_839_523]),
        ("resnet18", CELEBA, 11_176_512, [513] * 40),
    ],
)
def test_parameter_counts(name: str, tasks: tuple[Task, ...], shared: int, heads: list[int]) -> None:
    network = create(name, tasks, (3, 64, 64))
    assert count(network.shared_parameters()) == shared
    assert [count(network.head_parameters(task.name)) for task in tasks] == heads
    assert count(network.parameters()) == shared + sum(heads)


def test_segnet_for_nyuv2_has_the_parameters_of_mtan() -> None:
    assert count(create("segnet", NYUV2, (3, 64, 64)).parameters()) == 25_055_185


@pytest.mark.slow
def test_mtan_for_nyuv2_has_the_parameters_of_its_authors_code() -> None:
    assert count(create("mtan", NYUV2, (3, 64, 64)).parameters()) == 44_229_073


@pytest.mark.parametrize(
    "name", ["segnet", "segnet_small", "mtan_small", "cross_stitch_small", "deeplabv3", "deeplabv3plus"]
)
@pytest.mark.parametrize("size", [(32, 64), (37, 50)])
def test_dense_networks_answer_at_every_pixel(name: str, size: tuple[int, int]) -> None:
    network = create(name, CITYSCAPES, (3, *size)).eval()
    with torch.no_grad():
        outputs = network({"image": torch.rand(1, 3, *size)})
    assert {task: tuple(output.shape) for task, output in outputs.items()} == {
        "label": (1, 7, *size),
        "depth": (1, 1, *size),
    }


def test_resnet18_answers_once_per_image() -> None:
    network = create("resnet18", CELEBA, (3, 64, 64)).eval()
    with torch.no_grad():
        assert {tuple(output.shape) for output in network({"image": torch.rand(2, 3, 64, 64)}).values()} == {(2, 1)}


@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_dilation_keeps_resolution_and_parameters(output_stride: int) -> None:
    backbone = resnet50(3, output_stride).eval()
    with torch.no_grad():
        assert backbone(torch.rand(1, 3, 64, 64)).shape == (1, 2048, 64 // output_stride, 64 // output_stride)
    assert count(backbone.parameters()) == 23_508_032
    convolutions = [backbone.get_submodule(f"layer4.{block}.conv2") for block in range(3)]
    dilations = [one.dilation[0] for one in convolutions if isinstance(one, nn.Conv2d)]
    assert dilations == {8: [2, 4, 4], 16: [1, 2, 2], 32: [1, 1, 1]}[output_stride]  # as torchvision


@pytest.mark.slow
def test_names_are_torchvisions() -> None:
    resnet18 = create("resnet18", CELEBA, (3, 64, 64)).backbone.state_dict()
    assert list(resnet18)[:6] == [
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "bn1.running_mean",
        "bn1.running_var",
        "bn1.num_batches_tracked",
    ]
    assert {"layer1.0.conv1.weight", "layer2.0.downsample.1.running_var", "layer4.1.bn2.bias"} <= set(resnet18)
    assert len(resnet18) == 122 - 2  # torchvision's 122 tensors without fc.weight and fc.bias
    assert len(resnet50(3, 8).state_dict()) == 320 - 2
    convolutions = [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]  # each followed by its batch norm
    vgg16_bn = {f"features.{index + offset}" for index in convolutions for offset in (0, 1)}
    encoder = {
        name.rpartition(".")[0]
        for name in SegNetBackbone(3, (64, 128, 256, 512, 512)).state_dict()
        if "features" in name
    }
    assert encoder == vgg16_bn


def save(tensors: dict[str, torch.Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("name", "prefix", "wrapper"), [("resnet18", "", "module."), ("deeplabv3", "", ""), ("segnet", "features.", "")]
)
def test_pretrained_weights_reach_the_backbone(
    name: str, prefix: str, wrapper: str, suffix: str, tmp_path: Path
) -> None:
    tasks = CELEBA if name == "resnet18" else CITYSCAPES
    shape = (3, 32, 32)

    def target(network: MultiTaskNetwork) -> nn.Module:
        return network.backbone.get_submodule("features") if prefix else network.backbone

    state = target(create(name, tasks, shape)).state_dict()
    floats = {key: torch.rand_like(value) for key, value in state.items() if value.is_floating_point()}
    tensors = {wrapper + prefix + key: value for key, value in floats.items()}
    path = save({**tensors, "fc.weight": torch.zeros(3)}, tmp_path / f"weights{suffix}")
    loaded = target(create(name, tasks, shape, pretrained=str(path))).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in floats.items())


@pytest.mark.slow
def test_pretrained_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    own = create("resnet18", CELEBA, (3, 64, 64)).backbone.state_dict()
    other_shape = {**own, "conv1.weight": torch.zeros(64, 1, 7, 7)}
    without_layer4 = {name: tensor for name, tensor in own.items() if not name.startswith("layer4")}
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(save(own, tmp_path / "whole.pth").read_bytes()[:1000])
    cases = {
        tmp_path / "absent.pth": "absent.pth are missing",
        damaged: "damaged.pth cannot be read",
        save(
            other_shape, tmp_path / "shape.pth"
        ): r"`conv1.weight` is \(64, 1, 7, 7\), the network needs \(64, 3, 7, 7\)",
        save(without_layer4, tmp_path / "names.safetensors"): "have no `layer4.0.conv1.weight`",
    }
    torch.save([1, 2], tmp_path / "list.pth")
    cases[tmp_path / "list.pth"] = "hold a list"
    for path, sentence in cases.items():
        with pytest.raises(UserError, match=sentence):
            create("resnet18", CELEBA, (3, 64, 64), pretrained=str(path))


def test_what_identifies_pretrained_weights_is_their_content(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (
        NETWORKS.content(Choice(name="resnet18", options={"pretrained": str(tmp_path / f"{name}.pth")}))
        for name in "abc"
    )
    assert a == b != c
    assert str(tmp_path) not in str(a)
    assert NETWORKS.content(Choice(name="lenet")) == {}
    with pytest.raises(UserError, match=r"absent\.pth`, which cannot be read"):
        NETWORKS.content(Choice(name="resnet18", options={"pretrained": str(tmp_path / "absent.pth")}))


@pytest.mark.parametrize(
    ("name", "tasks"), [("resnet18", NYUV2), ("lenet", NYUV2), ("segnet_small", CELEBA), ("deeplabv3", CELEBA)]
)
def test_a_network_that_cannot_serve_a_task_says_so(name: str, tasks: tuple[Task, ...]) -> None:
    with pytest.raises(UserError, match=f"network `{name}` has one output for .* task `{tasks[0].name}` .* choose"):
        create(name, tasks, (3, 64, 64))
