"""The example of docs/your_own_data.md, as shown there, is prepared and trained on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml

from mtlsweep.params.choice import Choice
from mtlsweep.params.params import parse_params
from mtlsweep.suites.networks import create_network
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.step.updater import build_updater

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/your_own_data.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_short() -> None:
    assert len([line for line in block("python").splitlines() if line.strip()]) <= 30


@pytest.mark.slow
def test_the_example_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stripes.py").write_text(block("python"))
    monkeypatch.syspath_prepend(tmp_path)
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["suites"] |= yaml.safe_load(block("yaml"))["suites"]
    suite = parse_params(raw).suite("stripes-lenet")
    prepare(suite.data.dataset, tmp_path / "prepared")
    data = open_prepared(tmp_path / "prepared")
    torch.manual_seed(0)
    network = create_network(suite.network, data.tasks, data.inputs)
    generator = torch.Generator().manual_seed(0)
    rate = suite.baselines.learning_rates[0]
    updater = build_updater(network, data.tasks, Choice(name="ew"), Choice(name="adam"), rate, generator=generator)
    device = torch.device("cpu")
    for _ in range(suite.training.epochs):
        order = torch.randperm(len(data.splits["train"]), generator=generator)
        for batch in data.splits["train"].batches(order, suite.training.batch_size, device):
            updater.step(batch)
    metrics = evaluate(network, data.splits["test"], data.tasks, 100, device, "test")
    assert metrics["test/direction/accuracy"] > 0.9
    assert metrics["test/width/r2"] > 0.3
