"""The study's suites take a real training step at their true size, from files in the official formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mtlsweep.params.choice import Choice
from mtlsweep.params.params import PARAMS_FILE, load_params
from mtlsweep.suites.networks import create_network
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.training.augmentation import augment
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.step.updater import build_updater

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*results cannot be compared"),
]

CPU = torch.device("cpu")
PARAMS = Path(__file__).parents[2] / PARAMS_FILE

# What is written of each dataset, and the shape of a batch that fits on a laptop.
FILES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "cityscapes": ({"train": 5, "val": 1, "size": (1024, 2048)}, (2, 3, 128, 256)),
    "nyuv2": ({"train": 5, "test": 1}, (2, 3, 288, 384)),
    "celeba": ({"attributes": tuple(f"Attribute_{number}" for number in range(40))}, (8, 3, 64, 64)),
}


@pytest.mark.parametrize(
    ("suite", "weightings"),
    [  # each network with a route of one backward pass and with one of a pass for each task
        ("cityscapes-segnet", ["ew", "cagrad"]),
        ("cityscapes-deeplabv3", ["ew", "cagrad"]),
        ("nyuv2-segnet", ["ew"]),
        ("nyuv2-deeplabv3", ["ew"]),
        ("celeba-resnet18", ["ew", "cagrad"]),
    ],
)
def test_a_step_moves_every_parameter(
    suite: str, weightings: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    section = load_params(PARAMS).suite(suite)
    name, training = section.data.dataset.name, section.training
    how, shape = FILES[name]
    root = request.getfixturevalue(f"write_{name}")(**how)
    options = {**section.data.dataset.options, "root": str(root)}
    prepare(Choice(name=name, options=options), tmp_path / "store")
    data = open_prepared(tmp_path / "store")
    torch.manual_seed(0)
    network = create_network(section.network, data.tasks, data.inputs)
    for weighting in weightings:
        before = [parameter.detach().clone() for parameter in network.parameters()]
        generator = torch.Generator().manual_seed(0)
        updater = build_updater(
            network, data.tasks, Choice(name=weighting), Choice(name="adam"), 1e-4, generator=generator
        )
        batch = next(data.splits["train"].batches(None, shape[0], CPU))
        assert batch.inputs["image"].shape == shape
        if training.augmentation != "none":
            batch = augment(batch, data.tasks, training.augmentation, generator)
        updater.step(batch)
        assert not any(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)), weighting
    metrics = evaluate(network, data.splits["val"], data.tasks, shape[0], CPU, "val")
    assert set(metrics) == {
        f"val/{task.name}/{name}" for task in data.tasks for name in ["loss", *(m.name for m in task.metrics)]
    }
