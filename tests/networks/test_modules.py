"""A module's named parts as a network: every parameter has one owner."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mtlsweep import UserError, from_module
from mtlsweep.params.choice import Choice
from mtlsweep.suites.inputs import InputShape
from mtlsweep.suites.networks import create_network
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"trunk": nn.Linear(4, 3), "spare": nn.Linear(1, 1)})
        self.left, self.right = nn.Linear(3, 1), nn.Linear(3, 2)


HEADS = {"a": "left", "b": "right"}
TASKS = (Regression("a"), Classification("b", classes=2))


def test_heads_are_applied_to_what_the_backbone_returns() -> None:
    module = Own()
    del module.body["spare"]
    network, rows = from_module(module, TASKS, "body.trunk", HEADS, inputs=["x"]), torch.rand(5, 4)
    outputs = network({"x": rows})
    assert torch.equal(outputs["b"], module.right(module.body["trunk"](rows)))
    assert {id(one) for one in network.parameters()} == {id(one) for one in module.parameters()}


def test_a_parameter_outside_of_the_named_parts_is_refused() -> None:
    with pytest.raises(UserError, match=r"parameter `body.spare.weight` of Own .* would not be trained"):
        from_module(Own(), TASKS, "body.trunk", HEADS)


def test_a_frozen_parameter_may_stay_outside() -> None:
    module = Own()
    module.body["spare"].requires_grad_(False)
    assert set(from_module(module, TASKS, "body.trunk", HEADS).heads) == {"a", "b"}


def test_a_single_task_leaves_the_other_heads_out() -> None:
    module = Own()
    del module.body["spare"]
    assert set(from_module(module, TASKS[1:], "body.trunk", HEADS).heads) == {"b"}


def test_a_task_without_a_head_is_refused() -> None:
    with pytest.raises(UserError, match="task `b` has no head; heads are named for a"):
        from_module(Own(), TASKS, "body.trunk", {"a": "left"})


@pytest.mark.parametrize(
    ("backbone", "heads", "sentence"),
    [
        ("trunk", HEADS, "Own has no part `trunk`; its parts are body, left, right"),
        ("body", {"a": "left", "b": "left"}, "one is named twice"),
        ("body", {"a": "left", "b": "body.trunk"}, "share a parameter"),
    ],
)
def test_parts_that_do_not_fit_are_refused(backbone: str, heads: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        from_module(Own(), TASKS, backbone, heads)


@pytest.mark.parametrize(("code", "kind"), [("return Net()", "Net"), ("Net()", "NoneType")])
def test_what_is_no_network_of_several_tasks_is_refused(
    code: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = f"from torch import nn\nclass Net(nn.Module): pass\ndef network(tasks, image):\n    {code}\n"
    (tmp_path / "bare_network.py").write_text(own)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bare_network", raising=False)
    with pytest.raises(UserError, match=f"network `bare_network:network` gives {kind}, which is no network of several"):
        create_network(Choice(name="bare_network:network"), TASKS, {"image": InputShape((1, 8, 8))})
