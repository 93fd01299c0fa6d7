"""Optimizers that look at a second point (SAM), or evaluate at another than they train at (schedule-free)."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.testing import small_problem
from mtlsweep.training.epoch import begin_training, train_epoch
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
RHO = 0.1
PLAIN = {"momentum": 0.0, "weight_decay": 0.0}
SAM = Choice(name="sam", options={"base": {"sgd": PLAIN}, "rho": RHO})
NEEDED: dict[str, dict[str, Any]] = {
    "scalar": {"task0": 1.0, "task1": 0.5, "task2": 2.0},
    "pivrg": {"reference": {f"task{index}": {"mae": 1.0} for index in range(3)}},
}
"""Options without a default."""


def updater_for(problem, weighting, optimizer, rate=0.05):
    weighting = Choice(name=weighting, options=NEEDED.get(weighting, {}))
    return build_updater(
        problem.network, problem.tasks, weighting, optimizer, rate, generator=torch.Generator().manual_seed(7)
    )


def summed_loss(problem, batch):
    outputs = problem.network(batch.inputs)
    return torch.stack([task.loss(outputs[task.name], batch.targets[task.name]) for task in problem.tasks]).sum()


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_steps_with_the_gradient_of_the_second_point(adaptive):
    problem, twin = small_problem(), small_problem()
    optimizer = Choice(name="sam", options={**SAM.options, "adaptive": adaptive})
    updater = updater_for(problem, "ew", optimizer)
    parameters = list(twin.network.parameters())
    for index in range(4):
        updater.step(problem.batch(index))
        found = torch.autograd.grad(summed_loss(twin, twin.batch(index)), parameters)
        factors = [p.detach().abs() if adaptive else torch.ones_like(p) for p in parameters]
        norm = torch.stack([(f * g).norm() for f, g in zip(factors, found, strict=True)]).norm()
        start = copy.deepcopy(twin.network.state_dict())
        with torch.no_grad():
            for parameter, factor, gradient in zip(parameters, factors, found, strict=True):
                parameter.add_(RHO / (norm + 1e-12) * factor**2 * gradient)
        second = torch.autograd.grad(summed_loss(twin, twin.batch(index)), parameters)
        twin.network.load_state_dict(start)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, second, strict=True):
                parameter.sub_(0.05 * gradient)
        torch.testing.assert_close(problem.flat_parameters(), twin.flat_parameters(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighting", ["cagrad", "imtl", "nash_mtl"])
def test_a_gradient_weighting_combines_the_gradients_at_both_points(weighting):
    problem, twin = small_problem(), small_problem()
    updater_for(problem, weighting, SAM).step(problem.batch(0))
    start = twin.flat_parameters()
    base = Choice(name="sgd", options=PLAIN)
    updater_for(twin, weighting, base, 1.0).step(twin.batch(0))
    first = start - twin.flat_parameters()
    moved = start + RHO * first / first.norm()
    nn.utils.vector_to_parameters(moved.clone(), twin.network.parameters())
    updater_for(twin, weighting, base, 1.0).step(twin.batch(0))
    second = moved - twin.flat_parameters()
    torch.testing.assert_close(problem.flat_parameters(), start - 0.05 * second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weighting", [name for name in WEIGHTINGS.names() if name != "adatask"])
def test_the_way_to_the_second_point_leaves_no_trace(weighting):
    """A weighting, its random stream and batch statistics take note of a batch once: as without SAM."""
    states = []
    base = Choice(name="sgd", options=PLAIN)
    for optimizer in (SAM, base):
        problem = small_problem()
        backbone, norm = problem.network.backbone, nn.BatchNorm1d(5)
        assert isinstance(backbone, nn.Sequential)
        backbone.append(norm)
        updater = updater_for(problem, weighting, optimizer, rate=1e-12)  # so that both see the same losses
        updater.step(problem.batch(0))
        states.append((updater.state_dict(), norm.state_dict()))
    (with_sam, seen), (without, once) = states
    assert torch.equal(with_sam["generator"], without["generator"])
    torch.testing.assert_close(with_sam["weighting"], without["weighting"], equal_nan=True)
    if weighting != "mtl_io":  # its tasks' forwards follow each other
        torch.testing.assert_close(seen, once)


def test_parameters_are_unchanged_when_the_loss_at_the_second_point_ends_the_trial():
    problem = small_problem()
    far = Choice(name="sam", options={"rho": 1e9})
    updater = updater_for(problem, "ew", far)
    start = problem.flat_parameters()
    with pytest.raises(Diverged):
        updater.step(problem.batch(0))
    assert torch.equal(problem.flat_parameters(), start)


# --- schedule-free ---

AVERAGING = Choice(name="schedule_free", options={"weight_decay": 0.0})


def test_an_epoch_ends_at_the_average_and_the_next_step_goes_on_from_where_it_trains():
    problem, twin = small_problem(), small_problem()
    stopping, whole = updater_for(problem, "uw", AVERAGING), updater_for(twin, "uw", AVERAGING)
    for index in range(6):
        stopping.step(problem.batch(index))
        whole.step(twin.batch(index))
        trained_at = problem.flat_parameters()
        stopping.end_epoch()
        assert index == 0 or not torch.equal(problem.flat_parameters(), trained_at)
    whole.end_epoch()
    torch.testing.assert_close(problem.flat_parameters(), twin.flat_parameters(), rtol=1e-4, atol=1e-5)


def test_the_schedule_leaves_its_rate_alone_and_applies_to_others():
    for optimizer, rate in ((AVERAGING, 0.05), (Choice(name="adam"), 0.025)):
        updater = updater_for(small_problem(), "ew", optimizer)
        updater.set_learning_rate(0.5)
        assert [group["lr"] for group in updater.state_dict()["optimizers"][0]["param_groups"]] == [rate]


@pytest.mark.slow
def test_batch_statistics_are_those_of_the_average(make_trial, digits):
    trial = make_trial(
        0,
        tasks=tuple(task.name for task in digits.tasks),
        network=NETWORKS.resolve(Choice(name="lenet")),
        weighting=WEIGHTINGS.resolve(Choice(name="ew")),
        optimizer=OPTIMIZERS.resolve(AVERAGING),
        training=Training(epochs=2, batch_size=32),
        data_fingerprint=digits.fingerprint,
    )
    net, updater = begin_training(trial, digits, torch.device("cpu"))
    norm = nn.BatchNorm2d(digits.inputs["image"][0])
    net.backbone = nn.Sequential(norm, net.backbone)
    seen = []
    norm.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    train_epoch(trial, digits, net, updater, 1, torch.device("cpu"))
    steps = seen.index(False)
    assert seen == [True] * steps + [False] * min(steps, 50), "after the steps, the batches again without gradients"
