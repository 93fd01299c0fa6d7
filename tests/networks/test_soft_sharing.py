"""Soft sharing: `mtan` and `cross_stitch` against their formulas, what is shared, and which weightings can train them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtlsweep.errors import UserError
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Suite
from mtlsweep.suites.networks import NETWORKS, MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals
from mtlsweep.suites.tasks.segmentation import Segmentation
from mtlsweep.sweep.plan.cells import plan_cells
from mtlsweep.training.step.updater import Updater, build_updater

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings(
    "ignore:grad and param do not obey the gradient layout contract"
)  # slower, not wrong
TASKS: tuple[Task, ...] = (Segmentation("label", classes=4), Depth("depth"), Normals("normal"))
NAMES = ["mtan_small", "cross_stitch_small"]
NEEDED: dict[str, dict[str, Any]] = {
    "scalar": {"label": 1.0, "depth": 0.5, "normal": 2.0},
    "pivrg": {"reference": {"label": {"miou": 1.0}, "depth": {"abs_err": 1.0}, "normal": {"mean_angle": 1.0}}},
}
NEEDS_ONE = {
    "graddrop": "say `gradients: parameters`, or choose another network",
    "cons_mtl": "choose another weighting or network",
}
"""Weightings that `mtan` cannot serve as they are, and the remedy."""


def create(name: str, tasks: Sequence[Task] = TASKS, widths: Sequence[int] = (4, 6, 8)) -> MultiTaskNetwork:
    torch.manual_seed(0)
    choice = NETWORKS.resolve(Choice(name=name, options={"widths": list(widths)}))
    network: MultiTaskNetwork = NETWORKS.create(choice, tasks, (3, 20, 24))
    return network


def batch(absent: Sequence[str] = ()) -> Batch:
    generator = torch.Generator().manual_seed(0)
    targets = {
        "label": torch.randint(0, 4, (2, 20, 24), generator=generator),
        "depth": torch.rand(2, 20, 24, generator=generator) + 0.5,
        "normal": F.normalize(torch.randn(2, 3, 20, 24, generator=generator), dim=1),
    }
    images = torch.rand(2, 3, 20, 24, generator=generator)
    return Batch({"image": images}, targets, dict.fromkeys(absent, torch.empty(0, dtype=torch.long)))


def updater_of(network: MultiTaskNetwork, weighting: str, optimizer: str = "sgd", **options: Any) -> Updater:
    choice = Choice(name=weighting, options={**NEEDED.get(weighting, {}), **options})
    plain = {"momentum": 0.0, "weight_decay": 0.0} if optimizer == "sgd" else {}
    generator = torch.Generator().manual_seed(0)
    return build_updater(
        network, TASKS, choice, Choice(name=optimizer, options=plain), 0.001, generator=generator, explosion_factor=1e9
    )


# --- the formulas, written out from named tensors ---


class Tensors:
    """The tensors of a network by name, in training mode."""

    def __init__(self, network: nn.Module) -> None:
        self._tensors = dict(network.named_parameters())

    def convolve(self, name: str, inputs: Tensor) -> Tensor:
        weight = self._tensors[f"{name}.weight"]
        return F.conv2d(inputs, weight, self._tensors[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def normalise(self, name: str, inputs: Tensor) -> Tensor:
        variance, mean = torch.var_mean(inputs, dim=(0, 2, 3), correction=0, keepdim=True)
        scale, shift = (self._tensors[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
        return (inputs - mean) / (variance + 1e-5).sqrt() * scale + shift

    def block(self, name: str, numbers: Sequence[int], inputs: Tensor) -> Tensor:
        """Convolution, BatchNorm and ReLU for each of the numbers, which count modules from that of the convolution."""
        for number in numbers:
            inputs = self.normalise(f"{name}.{number + 1}", self.convolve(f"{name}.{number}", inputs)).relu()
        return inputs

    def attend(self, name: str, inputs: Tensor) -> Tensor:
        hidden = self.normalise(f"{name}.1", self.convolve(f"{name}.0", inputs)).relu()
        return self.normalise(f"{name}.4", self.convolve(f"{name}.3", hidden)).sigmoid()

    def answer(self, name: str, inputs: Tensor) -> Tensor:
        return self.convolve(f"{name}.1", self.convolve(f"{name}.0", inputs))

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]


ENCODER = ((0, (3,)), (7, (10,)), (14, (17, 20)))
"""Of each stage the number of the first convolution in `features`, and those of the others."""


def mtan_outputs(network: MultiTaskNetwork, image: Tensor) -> dict[str, Tensor]:
    """Liu et al. 2019, figure 2, as in their code: p^j and u^j, a_i^j = h(g([u; f(a_i^{j-1} * p)])), for three stages."""
    t, u, p, places, size, x = Tensors(network), [], [], [], [], image
    for first, others in ENCODER:
        u.append(t.block("backbone.segnet.features", [first], x))
        p.append(t.block("backbone.segnet.features", others, u[-1]))
        x, indices = F.max_pool2d(p[-1], 2, return_indices=True)
        places.append(indices)
        size.append(p[-1].shape[-2:])
    v, q = {}, {}
    for number, stage in enumerate((2, 1, 0)):
        v[stage] = F.max_unpool2d(x, places[stage], [2, 2], output_size=size[stage])
        x = q[stage] = t.block(f"backbone.segnet.decoder.{number}", (0, 3, 6) if stage == 2 else (0, 3), v[stage])
    outputs = {}
    for task in network.heads:
        name = f"heads.{task}"
        a = t.attend(f"{name}.encoder.0", u[0]) * p[0]
        for stage in (1, 2):
            carried = F.max_pool2d(t.block(f"backbone.down.{stage - 1}", [0], a), 2)
            a = t.attend(f"{name}.encoder.{stage}", torch.cat([u[stage], carried], dim=1)) * p[stage]
        a = F.max_pool2d(t.block("backbone.down.2", [0], a), 2)
        for stage in (2, 1, 0):
            enlarged = F.interpolate(a, size[stage], mode="bilinear", align_corners=True)
            carried = t.block(f"backbone.up.{stage}", [0], enlarged)
            a = t.attend(f"{name}.decoder.{stage}", torch.cat([v[stage], carried], dim=1)) * q[stage]
        outputs[task] = t.answer(f"{name}.output", a)
    return outputs


def cross_stitch_outputs(network: MultiTaskNetwork, image: Tensor) -> dict[str, Tensor]:
    """Misra et al. 2016, equation 1, for every channel: x~_i = sum_j alpha_ij x_j, before each stage but the first."""
    t, tasks = Tensors(network), list(network.heads)
    x, places = torch.stack([image] * 3), {}

    def mix(x: Tensor, unit: int) -> Tensor:
        if unit == 4:
            alpha = torch.stack([t[f"heads.{task}.row.weights"] for task in tasks])
        else:
            alpha = torch.stack([t[f"backbone.units.{unit}.{row}.weights"] for row in range(3)])
        return torch.einsum("ijc,jnchw->inchw", alpha, x)

    for stage, (first, others) in enumerate(ENCODER):
        x = mix(x, stage - 1) if stage else x
        pooled = []
        for number in range(3):
            last = t.block(f"backbone.networks.{number}.features", (first, *others), x[number])
            one, places[stage, number] = F.max_pool2d(last, 2, return_indices=True)
            pooled.append(one)
        x = torch.stack(pooled)
    for position, (stage, size) in enumerate(((2, (5, 6)), (1, (10, 12)), (0, (20, 24)))):
        x = mix(x, 2 + position)
        decoded = []
        for number, task in enumerate(tasks):
            name = f"heads.{task}.last" if stage == 0 else f"backbone.networks.{number}.decoder.{position}"
            enlarged = F.max_unpool2d(x[number].contiguous(), places[stage, number], [2, 2], output_size=size)
            decoded.append(t.block(name, (0, 3, 6) if stage == 2 else (0, 3), enlarged))
        x = torch.stack(decoded)
    return {task: t.answer(f"heads.{task}.output", x[number]) for number, task in enumerate(tasks)}


@pytest.mark.parametrize(
    ("name", "written_out"), [("mtan_small", mtan_outputs), ("cross_stitch_small", cross_stitch_outputs)]
)
def test_a_network_is_its_formula_with_the_same_gradients(name: str, written_out: Any) -> None:
    network = create(name).double()
    for parameter in network.parameters():  # so that no task, channel or bias is like another
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    image = batch().inputs["image"].double()
    ours, theirs = network({"image": image}), written_out(network, image)
    parameters = list(network.parameters())
    for task in network.heads:
        torch.testing.assert_close(ours[task], theirs[task])
        slopes = [
            torch.autograd.grad(one[task].square().sum(), parameters, retain_graph=True, materialize_grads=True)
            for one in (ours, theirs)
        ]
        torch.testing.assert_close(slopes[0], slopes[1])


# --- what is shared ---


@pytest.mark.parametrize("name", NAMES)
def test_shared_is_what_more_than_one_task_reaches_and_the_rest_is_that_tasks(name: str) -> None:
    network = create(name)
    by_task: dict[str, set[str]] = {}
    for task, output in network(batch().inputs).items():
        slopes = torch.autograd.grad(
            output.square().sum(), list(network.parameters()), retain_graph=True, allow_unused=True
        )
        pairs = zip(network.named_parameters(), slopes, strict=True)
        by_task[task] = {found for (found, _), slope in pairs if slope is not None}
    names = {id(parameter): found for found, parameter in network.named_parameters()}
    shared = {found for found in names.values() if sum(found in own for own in by_task.values()) > 1}
    assert {names[id(each)] for each in network.shared_parameters()} == shared
    for task, own in by_task.items():
        assert {names[id(each)] for each in network.head_parameters(task)} == own - shared != set()
    assert sorted(map(id, network.parameters())) == sorted(
        map(id, [*network.shared_parameters(), *(one for task in by_task for one in network.head_parameters(task))])
    )


def test_with_a_single_task_cross_stitch_is_segnet() -> None:
    stitched, plain = create("cross_stitch_small", TASKS[:1]), create("segnet_small", TASKS[:1])
    head, trunk = stitched.heads["label"], stitched.backbone.get_submodule("networks.0")
    parts = [*trunk.parameters(), *head.get_submodule("last").parameters(), *head.get_submodule("output").parameters()]
    for own, other in zip(plain.parameters(), parts, strict=True):
        other.data.copy_(own.data)
    assert len(list(stitched.parameters())) == len(parts), "no unit without another task"
    outputs = [network(batch().inputs)["label"] for network in (stitched, plain)]
    assert torch.equal(*outputs)


def test_a_unit_begins_with_nine_tenths_of_the_tasks_own_features() -> None:
    for unit in create("cross_stitch_small").backbone.get_submodule("units").children():
        for own, row in enumerate(unit.parameters()):
            expected = torch.full((3,), 0.05).index_fill(0, torch.tensor(own), 0.9)
            torch.testing.assert_close(row, expected[:, None].expand_as(row))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features"), [("mtan", "segnet.features"), ("cross_stitch", "networks.{}.features")])
def test_pretrained_weights_reach_every_encoder(name: str, features: str, tmp_path: Path) -> None:
    def encoders(network: MultiTaskNetwork) -> list[nn.Module]:
        return [
            network.backbone.get_submodule(features.format(number)) for number in range(2 if "{" in features else 1)
        ]

    def make(**options: str) -> MultiTaskNetwork:
        choice = NETWORKS.resolve(Choice(name=name, options=options))
        network: MultiTaskNetwork = NETWORKS.create(choice, TASKS[:2], (3, 32, 32))
        return network

    state = {
        key: torch.rand_like(each) for key, each in encoders(make())[0].state_dict().items() if each.is_floating_point()
    }
    torch.save({f"features.{key}": each for key, each in state.items()}, tmp_path / "vgg16_bn.pth")
    for encoder in encoders(make(pretrained=str(tmp_path / "vgg16_bn.pth"))):
        loaded = encoder.state_dict()
        assert all(torch.equal(loaded[key], each) for key, each in state.items())


# --- weightings ---


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighting", WEIGHTINGS.names())
def test_every_weighting_trains_it_or_is_refused_with_the_reason(name: str, weighting: str) -> None:
    network = create(name, widths=(2, 2))
    optimizer = "adam" if weighting == "adatask" else "sgd"
    if name == "mtan_small" and weighting in NEEDS_ONE:
        with pytest.raises(
            UserError, match=f"`{weighting}` compares .* has no such representation: {NEEDS_ONE[weighting]}."
        ):
            updater_of(network, weighting, optimizer)
        return
    before = [each.detach().clone() for each in network.parameters()]
    updater = updater_of(network, weighting, optimizer)
    updater.step(batch())
    moved = [not torch.equal(*pair) for pair in zip(network.parameters(), before, strict=True)]
    assert sum(moved) > 0.7 * len(moved), "all but biases that BatchNorm takes away"
    assert all(each.isfinite().all() for each in network.parameters())
    assert all(torch.tensor(value).isfinite() for value in updater.end_epoch().values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("heads", ["same", "one"])
def test_a_weighted_step_follows_the_weighted_gradients_by_either_route(name: str, heads: str) -> None:
    network, weights, data = create(name), {"label": 1.0, "depth": 0.5, "normal": 2.0}, batch()
    twin = copy.deepcopy(network)
    outputs = twin(data.inputs)
    losses = {task.name: task.loss(outputs[task.name], data.targets[task.name]) for task in TASKS}
    weighted = torch.stack([weights[task] * loss for task, loss in losses.items()]).sum()
    expected = {"shared": torch.autograd.grad(weighted, twin.shared_parameters(), retain_graph=True)}
    for task, loss in losses.items():
        own = weights[task] * loss if heads == "same" else loss
        expected[task] = torch.autograd.grad(own, twin.head_parameters(task), retain_graph=True)
    updater_of(network, "scalar", heads=heads).step(data)
    for part, slopes in expected.items():
        of = [one.shared_parameters() if part == "shared" else one.head_parameters(part) for one in (network, twin)]
        for after, before, slope in zip(*of, slopes, strict=True):
            torch.testing.assert_close((before - after) / 0.001, slope, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_an_absent_tasks_own_part_stays_as_it_was_with_its_statistics(name: str) -> None:
    network = create(name)
    before = copy.deepcopy(network.heads.state_dict())
    updater_of(network, "ew").step(batch(absent=["depth"]))
    for key, each in network.heads.state_dict().items():
        if key.startswith("depth."):
            assert torch.equal(each, before[key])
    assert not torch.equal(network.heads.state_dict()["label.output.1.weight"], before["label.output.1.weight"])


def planned(network: str, *weightings: Any) -> None:
    section = Suite.model_validate({
        "data": {"dataset": "rooms"},
        "network": network,
        "training": {"epochs": 1, "batch_size": 8},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": {"weightings": weightings, "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
    })  # fmt: skip
    plan_cells("rooms", section, "sweep", [task.name for task in TASKS], "f" * 64)


def test_the_plan_refuses_a_comparison_at_a_representation_that_mtan_has_not() -> None:
    planned("mtan", "ew", "mgda", "sdmgrad", {"graddrop": {"gradients": "parameters"}}, {"uw": {"heads": "one"}})
    planned("cross_stitch", "graddrop", "cons_mtl", {"mgda": {"gradients": "representation"}})
    for weighting in ("cons_mtl", "graddrop", {"mgda": {"gradients": "representation"}}):
        with pytest.raises(UserError) as caught:
            planned("mtan_small", "ew", weighting)
        assert str(caught.value).startswith("params.yaml: `suites.rooms.sweep.weightings[1]`: weighting `")
        assert "network `mtan_small` has no such representation: " in str(caught.value) and "\n" not in str(
            caught.value
        )
