"""Where this project differs from the study or a paper, the documents say so, and the code is as they say."""

from __future__ import annotations

import re
from pathlib import Path

import torch
import yaml

from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.methods.weighting.kinds import GramianWeighting, LossWeighting
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import load_params
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.prepared.batches import cut

PROJECT = Path(__file__).parents[2]


def words(document: str, heading: str = "") -> str:
    """Return a document, or its section under `heading`, as one line."""
    text = (PROJECT / "docs" / document).read_text()
    if heading:
        found = re.search(rf"### `{heading}`.*?(?=\n##|\Z)", text, re.DOTALL)
        assert found, heading
        text = found[0]
    return " ".join(text.split())


def test_deeplab_starts_from_random_weights_and_takes_torchvisions_file() -> None:
    text = words("data.md")
    assert "All suites start from random weights" in text and "probably trained DeepLab from ImageNet weights" in text
    networks = [suite.network for suite in load_params(PROJECT / "params.yaml").suites.values()]
    assert any(network.name.startswith("deeplab") for network in networks)
    assert all(not NETWORKS.resolve(network).options.get("pretrained") for network in networks)
    example = re.search(r"`network: (\{deeplabv3: \{pretrained: [^}]*\}\})`", text)
    assert example
    options = NETWORKS.resolve(Choice.model_validate(yaml.safe_load(example[1]))).options
    assert options["pretrained"] == "resnet50-0676ba61.pth"


def test_fairgrads_heads_follow_its_weights_unless_they_are_told_to_follow_one() -> None:
    text = words("methods.md", "fairgrad")
    assert "Heads follow w, as in LibMTL" in text
    assert "in the official code each follows its own gradient (`heads: one`)" in text
    weighting = WEIGHTINGS.create(Choice(name="fairgrad"), ["a", "b"], torch.Generator())
    assert isinstance(weighting, GramianWeighting)
    weights = weighting.weigh(torch.ones(2), torch.diag(torch.tensor([1.0, 4.0])))
    assert torch.equal(weights.heads, weights.shared) and len(weights.shared.unique()) == 2
    one = Choice(name="fairgrad", options={"heads": "one"})
    assert WEIGHTINGS.create(one, ["a", "b"], torch.Generator()).conventions.heads == "one"


def test_every_task_has_the_half_of_uncertainty_weighting() -> None:
    assert "for cross-entropy Kendall et al. derive e^{-s_i} L_i + s_i / 2. Here every task has the 1/2" in words(
        "methods.md", "uw"
    )
    weighting = WEIGHTINGS.create(Choice(name="uw", options={"start": 0.0}), ["a", "b"], torch.Generator())
    assert isinstance(weighting, LossWeighting)
    assert weighting.weigh(torch.ones(2)).tolist() == [0.5, 0.5]


def test_a_last_batch_of_one_row_joins_the_batch_before_it() -> None:
    assert "a last batch of *one* row joins the batch before it" in words("data.md")
    assert [len(batch) for batch in cut(torch.arange(17), 8, merge_lone_row=True)] == [8, 9]
