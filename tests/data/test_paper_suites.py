"""The study's suites take a real training step at their true size, from files in the official formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.data import open_prepared, prepare
from pipeline.data.augmentation import augment
from pipeline.networks import NETWORKS
from pipeline.registry import Choice
from pipeline.training.evaluation import evaluate
from pipeline.training.step import build_updater

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*results cannot be compared"),
]

Write = Callable[..., Path]
CPU = torch.device("cpu")


def take_a_step(
    dataset: str, root: Path, network: str, weighting: str, batch_size: int, augmentation: bool, folder: Path
) -> None:
    """Prepare, take one step, and check that every parameter moved and every metric is there."""
    prepare(Choice(name=dataset, options={"root": str(root)}), folder)
    data = open_prepared(folder)
    torch.manual_seed(0)
    model = NETWORKS.create(Choice(name=network), data.tasks, data.input_shape)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    generator = torch.Generator().manual_seed(0)
    updater = build_updater(model, data.tasks, Choice(name=weighting), Choice(name="adam"), 1e-4, generator=generator)
    batch = next(data.splits["train"].batches(None, batch_size, CPU))
    assert len(batch.inputs) == batch_size
    updater.step(augment(batch, data.tasks, "paper", generator) if augmentation else batch)
    still = sum(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert still == 0
    metrics = evaluate(model, data.splits["val"], data.tasks, batch_size, CPU)
    assert set(metrics) == {
        f"{task.name}/{name}" for task in data.tasks for name in ["loss", *(m.name for m in task.metrics)]
    }


@pytest.mark.parametrize("weighting", ["ew", "cagrad"])
def test_nyuv2_with_segnet_at_288x384(weighting: str, write_nyuv2: Write, tmp_path: Path) -> None:
    take_a_step("nyuv2", write_nyuv2(train=5, test=1), "segnet", weighting, 2, True, tmp_path / "store")


@pytest.mark.parametrize("weighting", ["ew", "cagrad"])
def test_cityscapes_with_segnet_at_128x256(weighting: str, write_cityscapes: Write, tmp_path: Path) -> None:
    root = write_cityscapes(train=5, val=1, size=(1024, 2048))
    take_a_step("cityscapes", root, "segnet", weighting, 2, True, tmp_path / "store")


@pytest.mark.parametrize("weighting", ["ew", "cagrad"])
def test_cityscapes_with_deeplab_at_128x256(weighting: str, write_cityscapes: Write, tmp_path: Path) -> None:
    root = write_cityscapes(train=5, val=1, size=(1024, 2048))
    take_a_step("cityscapes", root, "deeplabv3", weighting, 2, True, tmp_path / "store")


@pytest.mark.parametrize("weighting", ["ew", "cagrad"])
def test_celeba_with_resnet18_and_40_heads_at_64x64(weighting: str, write_celeba: Write, tmp_path: Path) -> None:
    root = write_celeba(attributes=tuple(f"Attribute_{number}" for number in range(40)))
    take_a_step("celeba", root, "resnet18", weighting, 8, False, tmp_path / "store")
