"""Networks on the rows of a table: what is shared is what more than one task reaches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mtlsweep.params.choice import Choice
from mtlsweep.suites.inputs import Feature, InputShape
from mtlsweep.suites.networks import NETWORKS, MultiTaskNetwork, create_network
from mtlsweep.suites.networks.mixtures import Gate
from mtlsweep.suites.networks.tables import RowEncoder
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks.attribute import Attribute
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.training.step.updater import build_updater

TASKS = (Regression("visits"), Classification("mood", classes=3), Attribute("ill"))
FEATURES = (Feature("age"), Feature("plan", categories=4), Feature("income"), Feature("site", categories=3))
SHAPE = InputShape((4,), FEATURES)
NAMES = [("mlp", {}), ("mmoe", {}), ("ple", {"levels": 1}), ("ple", {"levels": 2})]


def network_of(name: str, **options: Any) -> MultiTaskNetwork:
    torch.manual_seed(0)
    return create_network(NETWORKS.resolve(Choice(name=name, options=options)), TASKS, {"row": SHAPE})


def batch(rows: int = 64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = [torch.randint(0, size, (rows,), generator=generator).float() for size in (4, 3)]
    numbers = torch.randn(2, rows, generator=generator)
    return {"row": torch.stack([numbers[0], codes[0], numbers[1], codes[1]], dim=1)}


def reached(network: MultiTaskNetwork, task: str) -> set[str]:
    """Return the names of the parameters that the output of a task depends on."""
    network.zero_grad()
    network(batch())[task].square().sum().backward()
    return {name for name, each in network.named_parameters() if each.grad is not None and each.grad.any()}


@pytest.mark.parametrize(("name", "options"), NAMES)
def test_a_network_gives_each_task_its_outputs(name: str, options: dict[str, Any]) -> None:
    outputs = network_of(name, **options)(batch(5))
    assert {task: tuple(output.shape) for task, output in outputs.items()} == {
        "visits": (5, 1), "mood": (5, 3), "ill": (5, 1),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "options"), NAMES)
def test_shared_parameters_are_those_that_more_than_one_task_reaches(name: str, options: dict[str, Any]) -> None:
    network = network_of(name, **options)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    by_task = {task.name: reached(network, task.name) for task in TASKS}
    shared = {name for name in names.values() if sum(name in own for own in by_task.values()) > 1}
    assert {names[id(parameter)] for parameter in network.shared_parameters()} == shared
    for task, own in by_task.items():
        assert {names[id(parameter)] for parameter in network.head_parameters(task)} == own - shared
    assert set(names.values()) == set().union(*by_task.values())


def test_a_row_is_its_numbers_and_a_vector_for_each_category() -> None:
    encoder, row = RowEncoder(SHAPE, 5), batch(3)["row"]
    encoded = encoder(row)
    assert encoder.width == 2 + 2 * 5 and encoded.shape == (3, 12)
    torch.testing.assert_close(encoded[:, :2], row[:, [0, 2]])
    assert encoder.vectors is not None
    for position, (column, start) in enumerate(((1, 0), (3, 4))):
        one_hot = F.one_hot(row[:, column].long() + start, 7).float()
        torch.testing.assert_close(encoded[:, 2 + 5 * position : 7 + 5 * position], one_hot @ encoder.vectors.weight)


def test_a_row_without_categories_is_taken_as_it_is() -> None:
    row = torch.randn(3, 6)
    encoder = RowEncoder(InputShape((6,)), 5)
    assert encoder(row) is row and encoder.width == 6


@pytest.mark.parametrize("weighting", ["sdmgrad", "graddrop", "cons_mtl"])
def test_a_mixture_of_a_row_without_categories_is_cut_at_its_representation(weighting: str) -> None:
    torch.manual_seed(0)
    network = create_network(NETWORKS.resolve(Choice(name="mmoe")), TASKS[:1], {"row": InputShape((6,))})
    generator = torch.Generator().manual_seed(0)
    updater = build_updater(network, TASKS[:1], Choice(name=weighting), Choice(name="adam"), 0.1, generator=generator)
    before = [each.detach().clone() for each in network.parameters()]
    updater.step(Batch({"row": torch.randn(8, 6)}, {"visits": torch.randn(8)}))
    assert all(not torch.equal(*pair) for pair in zip(network.parameters(), before, strict=True))


def test_the_gates_of_a_mixture_weigh_experts_by_the_row() -> None:
    network = network_of("mmoe")
    seen, experts = network.representation(batch())
    gate = network.heads["visits"].gate
    assert isinstance(gate, Gate)
    weights = gate.layer(seen).softmax(dim=1)
    assert weights.std(dim=0).min() > 0
    torch.testing.assert_close(gate(seen, experts), torch.einsum("ne,new->nw", weights, experts))
