"""Reduced precision and channels last: what stays float32, what becomes part of the key, and what they may not change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtlsweep.errors import UserError
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import parse_params
from mtlsweep.params.suite import Training
from mtlsweep.suites.networks import NETWORKS, MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch, PreparedData
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.sweep.plan.cells import check_names
from mtlsweep.testing import small_problem
from mtlsweep.training.epoch import build_network
from mtlsweep.training.step import backward
from mtlsweep.training.step.forward import Forward, to_host
from mtlsweep.training.step.updater import build_updater
from mtlsweep.trials.trial import Trial

NEEDED: dict[str, dict[str, Any]] = {
    "scalar": {"task0": 1.0, "task1": 0.5, "task2": 2.0},
    "pivrg": {"reference": {f"task{index}": {"mae": 1.0} for index in range(3)}},
}
PLAIN = Training(epochs=3, batch_size=32)


# --- bfloat16 ---


@dataclass(frozen=True)
class Own(Regression):
    """A task of a user's own, whose loss computes in the precision of what it is given."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        assert output.dtype == torch.float32
        products = output @ output.T  # autocast would make these bfloat16
        assert products.dtype == torch.float32
        return (output.squeeze(1) - target).abs().mean() + 0 * products.sum()


def test_the_network_is_reduced_and_its_losses_are_not() -> None:
    problem = small_problem()
    seen: list[torch.dtype] = []
    problem.network.heads["task0"].register_forward_hook(lambda _m, _i, output: seen.append(output.dtype))
    forward = Forward(problem.network, [Own("task0"), *problem.tasks[1:]], "bfloat16")
    losses = forward.losses(problem.batch(0))
    assert seen == [torch.bfloat16]
    assert {loss.dtype for loss in losses} == {torch.float32}
    exact = Forward(problem.network, [Own("task0"), *problem.tasks[1:]], "float32").losses(problem.batch(0))
    torch.testing.assert_close(torch.stack(losses), torch.stack(exact), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_gradients_their_products_and_the_optimizers_state_stay_float32(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[torch.dtype] = []

    def watched(losses: list[Tensor], *others: Tensor) -> list[Tensor]:
        moved.extend(part.dtype for part in (*losses, *others))
        return to_host(losses, *others)

    monkeypatch.setattr(backward, "to_host", watched)
    problem = small_problem()
    updater = build_updater(
        problem.network,
        problem.tasks,
        Choice(name=name, options=NEEDED.get(name, {})),
        Choice(name="adam"),
        0.01,
        generator=torch.Generator().manual_seed(0),
        precision="bfloat16",
    )
    for index in range(2):
        updater.step(problem.batch(index))
    assert torch.bfloat16 not in moved
    state = [each for optimizer in updater.optimizers for each in optimizer.state_dict()["state"].values()]
    assert {value.dtype for values in state for value in values.values()} == {torch.float32}
    gradients = [parameter.grad for parameter in problem.network.parameters() if parameter.grad is not None]
    assert {gradient.dtype for gradient in gradients} == {torch.float32}


# --- keys ---


def test_what_is_off_is_in_no_key(make_trial: Callable[..., Trial]) -> None:
    plain, on = make_trial(), make_trial(training=PLAIN.model_copy(update={"channels_last": True}))
    assert "channels_last" not in plain.cell.identity["training"]
    assert on.cell.identity["training"] == {**plain.cell.identity["training"], "channels_last": True}
    assert on.key != plain.key
    assert Trial.from_json(on.to_json()) == on and Trial.from_json(plain.to_json()) == plain


# --- channels last ---


@pytest.mark.parametrize("on", [False, True])
def test_the_option_reaches_a_network_that_would_not_use_them_by_itself(
    make_trial: Callable[..., Trial], digits: PreparedData, on: bool
) -> None:
    network = NETWORKS.resolve(Choice(name="resnet18"))
    trial = make_trial(network=network, training=PLAIN.model_copy(update={"channels_last": on}))
    made = build_network(trial, digits, torch.device("meta"))
    assert made.memory_format == (torch.channels_last if on else torch.contiguous_format)


def test_images_change_their_layout_and_nothing_else_does() -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten())
    network = MultiTaskNetwork(backbone, {f"task{index}": nn.Linear(4 * 4 * 4, 1) for index in range(3)})
    twin = copy.deepcopy(network)
    twin.memory_format = torch.channels_last
    images, targets = torch.randn(16, 3, 8, 8), {f"task{index}": torch.randn(16) for index in range(3)}
    seen: list[bool] = []
    twin.backbone.register_forward_pre_hook(
        lambda _m, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )
    for each in (network, twin):
        generator = torch.Generator().manual_seed(0)
        weighting, adam = Choice(name="pcgrad"), Choice(name="adam")
        updater = build_updater(each, small_problem().tasks, weighting, adam, 0.01, generator=generator)
        for _ in range(3):
            updater.step(Batch({"image": images}, targets))
    assert seen == [True] * 3
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        assert one.stride() == other.stride(), "parameters, and with them gradients and checkpoints, keep their layout"


def test_a_network_without_images_has_no_channels(raw_suite: dict[str, object]) -> None:
    suite = parse_params({"active": ["t"], "suites": {"t": raw_suite}}).suite("t")
    sentence = "`suites.t.training.channels_last` is true, but network `mlp` takes no images"
    with pytest.raises(UserError, match=sentence):
        check_names("t", suite)


@pytest.fixture
def raw_suite() -> dict[str, object]:
    return {
        "data": {"dataset": "multidigits"},
        "network": "mlp",
        "training": {"epochs": 1, "batch_size": 8, "channels_last": True},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": {"weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
    }
