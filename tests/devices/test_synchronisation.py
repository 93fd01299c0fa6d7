"""A step waits for its device once: for the values that the host needs.

torch's `meta` device stands for a GPU. Its tensors have a place and no values, so whatever would wait for a GPU to read one
(`.item()`, `.cpu()`, a mask as index, an `if` on a tensor) raises an error here. Only `to_host` is replaced. Copies to the
device are watched: torch waits for one that is not `non_blocking`.
"""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.methods.weighting.gradient import graddrop
from mtlsweep.params.choice import Choice
from mtlsweep.suites.inputs import InputShape
from mtlsweep.suites.networks import NETWORKS, create_network
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import task_from_definition
from mtlsweep.testing import small_problem
from mtlsweep.training.augmentation import augment
from mtlsweep.training.step import backward, look_ahead, task_steps, two_samples, updater
from mtlsweep.training.step.updater import build_updater

NEEDED: dict[str, dict[str, Any]] = {
    "scalar": {"task0": 1.0, "task1": 0.5, "task2": 2.0},
    "pivrg": {"reference": {f"task{index}": {"mae": 1.0} for index in range(3)}},
}
META = torch.device("meta")


def invented(part):
    """Return values of this shape as the host would get them: a Gramian is positive definite."""
    if part.ndim == 2:
        return torch.eye(len(part), dtype=torch.float64) + 0.25
    return torch.linspace(0.5, 1.5, part.numel(), dtype=torch.float64).view(part.shape)


@pytest.fixture
def transfers(monkeypatch):
    """Count what is moved to the host; everything else that reads a value fails."""
    moved = []

    def counting(losses, *others):
        parts = (torch.stack([loss.detach() for loss in losses]), *others)
        assert {part.device for part in parts} == {META}, "a value was on the host already"
        moved.append(len(parts))
        return [invented(part) for part in parts]

    for module in (backward, look_ahead, task_steps, two_samples, updater):
        monkeypatch.setattr(module, "to_host", counting)
    return moved


def on_meta(batch):
    inputs, targets, labelled = (
        {name: each.to(META) for name, each in columns.items()}
        for columns in (batch.inputs, batch.targets, batch.labelled)
    )
    return Batch(inputs, targets, labelled, tuple(map(on_meta, batch.further)))


class Copies(TorchDispatchMode):
    """Raises an error at a copy from the host to the device that waits."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu":
            leaves = torch.device(kwargs.get("device") or "cpu").type != "cpu"
            assert not leaves or kwargs.get("non_blocking"), "a copy to the device waits for it"
        return func(*args, **kwargs)


def test_a_copy_that_waits_is_noticed():
    with Copies(), pytest.raises(AssertionError, match="waits"):
        torch.ones(2).to(META)
    with Copies():
        torch.ones(2).to(META, non_blocking=True)


class DrawsWithoutValues:
    """torch for GradDrop: there is no random stream on `meta`, and numbers drawn there have no values either."""

    def __getattr__(self, name):
        return getattr(torch, name)

    def Generator(self, device):
        return torch.Generator()

    def rand(self, shape, generator, **where):
        return torch.rand(shape, **where)


def steps(weighting, optimizer, absent=()):
    problem = small_problem()
    problem.network.to(META)
    made = build_updater(
        problem.network, problem.tasks, weighting, optimizer, 0.01, generator=torch.Generator().manual_seed(0)
    )
    batches = [on_meta(problem.batch(0)), on_meta(problem.batch(1, absent))]
    with Copies():
        for batch in batches:
            made.step(batch)
    return made


@pytest.mark.parametrize("absent", [(), ("task1",)], ids=["every label", "no label of one task"])
@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_step_waits_for_the_device_once(name, absent, transfers, monkeypatch):
    monkeypatch.setattr(graddrop, "torch", DrawsWithoutValues())
    made = steps(Choice(name=name, options=NEEDED.get(name, {})), Choice(name="adam"), absent)
    assert len(transfers) == (4 if name in ("famo", "auto_lambda") else 2)  # these also look at losses elsewhere
    assert made.end_epoch(), "the epoch's figures come from what was moved"


@pytest.mark.parametrize("name", sorted({*OPTIMIZERS.names()} - {"adafactor"}))
def test_an_optimizer_does_not_wait(name, transfers):
    steps(Choice(name="pcgrad"), Choice(name=name))
    assert len(transfers) == (4 if name == "sam" else 2)  # SAM combines gradients at two points


def test_torchs_adafactor_waits_as_the_docs_say(transfers):
    with pytest.raises(RuntimeError, match=r"item\(\)"):
        steps(Choice(name="pcgrad"), Choice(name="adafactor"))


def task(kind, **options):
    return task_from_definition({"kind": kind, "name": kind, "options": options})


DENSE = (task("segmentation", classes=3), task("depth"), task("normals"))
ONE_A_ROW = (task("classification", classes=4), task("regression"), task("attribute"), task("quantity", deviation=2.0))


def dense_batch(rows, height, width):
    return Batch(
        {"image": torch.rand(rows, 3, height, width)},
        {
            "segmentation": torch.randint(0, 3, (rows, height, width)),
            "depth": torch.rand(rows, height, width),
            "normals": torch.rand(rows, 3, height, width),
        },
    )


def flat_batch(rows, **inputs):
    targets = {"classification": torch.randint(0, 4, (rows,)), "attribute": torch.randint(0, 2, (rows,))}
    return Batch(inputs, {**targets, "regression": torch.rand(rows), "quantity": torch.rand(rows)})


def step_on_meta(network, tasks, inputs, batch):
    with META:  # without memory, and without the time to draw weights
        made = create_network(NETWORKS.resolve(Choice(name=network)), tasks, inputs)
    weighting, adam = Choice(name="ew"), Choice(name="adam")
    step = build_updater(made, tasks, weighting, adam, 0.01, generator=torch.Generator())
    batch = on_meta(batch)
    with Copies():
        step.step(batch)


@pytest.mark.parametrize("network", ["segnet_small", "mtan", "cross_stitch"])
def test_neither_a_dense_network_nor_its_losses_wait(network, transfers):
    step_on_meta(network, DENSE, {"image": InputShape((3, 32, 32))}, dense_batch(2, 32, 32))
    assert len(transfers) == 1


@pytest.mark.parametrize("network", ["lenet", "resnet18"])
def test_neither_a_network_of_whole_images_nor_its_losses_wait(network, transfers):
    image = (1, 36, 36) if network == "lenet" else (3, 64, 64)
    step_on_meta(network, ONE_A_ROW, {"image": InputShape(image)}, flat_batch(2, image=torch.rand(2, *image)))
    assert len(transfers) == 1


def test_augmentation_does_not_wait():
    batch = on_meta(dense_batch(2, 8, 8))
    with Copies():
        augmented = augment(batch, DENSE, "paper", torch.Generator().manual_seed(0))
    assert augmented.inputs["image"].device == META
