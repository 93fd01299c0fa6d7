"""A network's parameters belong to the backbone or to exactly one head."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from mtlsweep.params.choice import Choice
from mtlsweep.suites.networks import NETWORKS, MultiTaskNetwork
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression

TASKS: tuple[Task, ...] = (Classification("left", classes=10), Classification("right", classes=10), Regression("mass"))
SHAPE = (1, 36, 36)


def lenet(**options: object) -> MultiTaskNetwork:
    network: MultiTaskNetwork = NETWORKS.create(NETWORKS.resolve(Choice(name="lenet", options=options)), TASKS, SHAPE)
    return network


@pytest.mark.parametrize(
    "options", [{}, {"head_width": 50}, {"downsampling": "stride"}, {"channels": (4, 8), "shared_width": 16}]
)
def test_lenet_gives_each_task_its_outputs(options: dict[str, object]) -> None:
    outputs = lenet(**options)({"image": torch.rand(3, *SHAPE)})
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "left": (3, 10),
        "right": (3, 10),
        "mass": (3, 1),
    }


def test_every_parameter_is_shared_or_of_one_head() -> None:
    network = lenet()
    groups = [network.shared_parameters(), *(network.head_parameters(task.name) for task in TASKS)]
    listed = [id(parameter) for group in groups for parameter in group]
    assert sorted(listed) == sorted(id(parameter) for parameter in network.parameters())


def test_heads_read_the_representation() -> None:
    network, inputs = lenet(), {"image": torch.rand(2, *SHAPE)}
    shared = network.representation(inputs)
    assert all(torch.equal(network.heads[name](shared), output) for name, output in network(inputs).items())


@pytest.mark.parametrize("name", ["half", "type", "values", "training", "__class__"])
def test_a_task_may_have_the_name_of_an_attribute_of_a_module(name: str) -> None:
    tasks = [Regression(name), Regression("mass")]

    def network() -> MultiTaskNetwork:
        made: MultiTaskNetwork = NETWORKS.create(NETWORKS.resolve(Choice(name="lenet")), tasks, SHAPE)
        return made

    one, other, inputs = network(), network(), {"image": torch.rand(2, *SHAPE)}
    outputs = one(inputs)
    assert list(outputs) == list(one.heads) == list(one.heads.keys()) == [name, "mass"] and name in one.heads
    other.load_state_dict(one.state_dict())
    assert torch.equal(functional_call(other, dict(one.named_parameters()), (inputs,))[name], outputs[name])
    other.heads[name] = nn.Linear(1, 1)
    assert len(other.head_parameters(name)) == 2 and len(other.heads) == 2
    del other.heads[name]
    assert list(other.heads) == ["mass"] and name not in other.heads


def test_both_ways_of_downsampling_have_the_same_parameters() -> None:
    pooled, strided = lenet(), lenet(downsampling="stride")
    assert [value.shape for value in pooled.parameters()] == [value.shape for value in strided.parameters()]
    assert sum(parameter.numel() for parameter in pooled.shared_parameters()) == 260 + 5020 + 720 * 50 + 50
