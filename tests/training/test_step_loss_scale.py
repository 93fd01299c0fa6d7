"""What scaling a task's loss changes: nothing, the first step, or everything, as theory says of each method."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from mtlsweep.params.choice import Choice
from mtlsweep.suites.tasks import Task
from mtlsweep.testing import small_problem
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
SCALES = (10.0, 1.0, 0.1)


@dataclass(frozen=True)
class Scaled:
    """A task whose loss is multiplied by a constant."""

    task: Task
    scale: float

    @property
    def name(self):
        return self.task.name

    def loss(self, output, target):
        return self.scale * self.task.loss(output, target)


def trajectory(weighting, optimizer, scales, steps=6, frozen=False, decay=0.0):
    """Return after each step (shared parameters, head parameters)."""
    problem = small_problem()
    tasks: list[Any] = [Scaled(task, scale) for task, scale in zip(problem.tasks, scales, strict=True)]
    options = {"weight_decay": decay} | ({"epsilon": 1e-12} if optimizer == "adam" else {})
    updater = build_updater(
        problem.network,
        tasks,
        Choice(name=weighting),
        Choice(name=optimizer, options=options),
        0.01,
        generator=torch.Generator().manual_seed(0),
    )
    places = []
    for index in range(steps):
        kept = [parameter.detach().clone() for parameter in problem.network.shared_parameters()]
        updater.step(problem.batch(index))
        if frozen:
            for parameter, value in zip(problem.network.shared_parameters(), kept, strict=True):
                parameter.data.copy_(value)
        shared = torch.cat([parameter.detach().flatten() for parameter in problem.network.shared_parameters()])
        heads = [parameter for task in problem.tasks for parameter in problem.network.head_parameters(task.name)]
        places.append((shared, torch.cat([parameter.detach().flatten() for parameter in heads])))
    return places


def same(one, other):
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "signsgd"])
@pytest.mark.parametrize("weighting", ["uw_o"])
def test_weights_at_uws_optimum_make_every_update_invariant(weighting, optimizer):
    for one, scaled in zip(
        trajectory(weighting, optimizer, (1, 1, 1)), trajectory(weighting, optimizer, SCALES), strict=True
    ):
        assert same(one[0], scaled[0])
        assert same(one[1], scaled[1])


def test_an_adam_for_each_task_makes_backbone_and_heads_invariant():
    for one, scaled in zip(
        trajectory("adatask", "adam", (1, 1, 1)), trajectory("adatask", "adam", SCALES), strict=True
    ):
        assert same(one[0], scaled[0])
        assert same(one[1], scaled[1])


def test_adam_on_a_frozen_backbone_makes_heads_invariant():
    plain, scaled = trajectory("ew", "adam", (1, 1, 1), frozen=True), trajectory("ew", "adam", SCALES, frozen=True)
    assert all(same(one[1], other[1]) for one, other in zip(plain, scaled, strict=True))


def test_adam_on_a_shared_backbone_makes_heads_invariant_for_the_first_step_only():
    plain, scaled = trajectory("ew", "adam", (1, 1, 1)), trajectory("ew", "adam", SCALES)
    assert same(plain[0][1], scaled[0][1])
    assert not same(plain[0][0], scaled[0][0])
    assert not same(plain[-1][1], scaled[-1][1])


def test_sgd_makes_nothing_invariant_and_each_head_moves_by_its_scale():
    plain, scaled = trajectory("ew", "sgd", (1, 1, 1), steps=1), trajectory("ew", "sgd", SCALES, steps=1)
    start = small_problem()
    heads = torch.cat([p.detach().flatten() for t in start.tasks for p in start.network.head_parameters(t.name)])
    moved, moved_scaled = (plain[0][1] - heads).view(3, -1), (scaled[0][1] - heads).view(3, -1)
    torch.testing.assert_close(moved_scaled, moved * torch.tensor(SCALES)[:, None], rtol=1e-3, atol=1e-6)
    assert not same(plain[0][0], scaled[0][0])


@pytest.mark.parametrize("weighting", ["imtl_g", "nash_mtl", "uw_so", "rlw", "cagrad"])
def test_which_gradient_methods_shrug_off_scales_in_the_direction_of_the_first_shared_step(weighting):
    plain, scaled = trajectory(weighting, "sgd", (1, 1, 1), steps=1), trajectory(weighting, "sgd", SCALES, steps=1)
    start = torch.cat([p.detach().flatten() for p in small_problem().network.shared_parameters()])
    cosine = torch.cosine_similarity(plain[0][0] - start, scaled[0][0] - start, dim=0).item()
    assert (cosine > 1 - 1e-5) == (weighting in ("imtl_g", "nash_mtl"))
