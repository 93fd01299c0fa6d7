"""One step: what it leaves in the parameters, when it stops a trial, and that it can be continued."""

import io

import pytest
import torch

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.params.choice import Choice
from mtlsweep.testing import small_problem
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)


def updater_for(problem, weighting, optimizer="sgd", rate=0.05, **options):
    weighting = weighting if isinstance(weighting, Choice) else Choice(name=weighting)
    optimizer = optimizer if isinstance(optimizer, Choice) else Choice(name=optimizer)
    generator = torch.Generator().manual_seed(7)
    return build_updater(problem.network, problem.tasks, weighting, optimizer, rate, generator=generator, **options)


def parameters_after(problem, updater, batches):
    for index in batches:
        updater.step(problem.batch(index))
    return torch.cat([parameter.detach().flatten() for parameter in problem.network.parameters()])


def test_equal_weights_with_plain_sgd_is_gradient_descent_on_the_summed_loss():
    problem, twin = small_problem(), small_problem()
    plain = Choice(name="sgd", options={"momentum": 0.0, "weight_decay": 0.0})
    after = parameters_after(problem, updater_for(problem, "ew", plain, 0.1), range(5))
    optimizer = torch.optim.SGD(twin.network.parameters(), 0.1)
    for index in range(5):
        batch = twin.batch(index)
        outputs = twin.network(batch.inputs)
        optimizer.zero_grad()
        losses = [task.loss(outputs[task.name], batch.targets[task.name]) for task in twin.tasks]
        torch.stack(losses).sum().backward()
        optimizer.step()
    expected = torch.cat([parameter.detach().flatten() for parameter in twin.network.parameters()])
    torch.testing.assert_close(after, expected)


COMBINED = [
    *((weighting, "adam") for weighting in ("ew", "pcgrad", "imtl")),
    *(  # a parameter of the weighting's own, and an optimizer for each task
        (weighting, optimizer)
        for optimizer in OPTIMIZERS.names()
        for weighting in ("uw", "mtl_io")
        if (weighting, optimizer) != ("mtl_io", "schedule_free")  # refused
    ),
]
"""Each kind of weighting once, and each optimizer where it has state beside that of the network."""


@pytest.mark.parametrize(("weighting", "optimizer"), COMBINED)
def test_a_resumed_run_continues_to_the_bit(weighting, optimizer):
    problem, twin = small_problem(), small_problem()
    whole, first = updater_for(problem, weighting, optimizer, 0.01), updater_for(twin, weighting, optimizer, 0.01)
    expected = parameters_after(problem, whole, range(8))
    parameters_after(twin, first, range(4))
    buffer = io.BytesIO()
    torch.save({"updater": first.state_dict(), "network": twin.network.state_dict()}, buffer)
    buffer.seek(0)
    saved = torch.load(buffer, weights_only=True)
    third = small_problem()
    third.network.load_state_dict(saved["network"])
    resumed = updater_for(third, weighting, optimizer, 0.01)
    resumed.load_state_dict(saved["updater"])
    assert torch.equal(parameters_after(third, resumed, range(4, 8)), expected)
    assert resumed.end_epoch() == whole.end_epoch()


@pytest.mark.parametrize("weighting", ["uw", "gradvac", "gradnorm", "db_mtl"])
def test_a_trial_that_continues_on_another_device_has_its_state_there_or_on_the_host(weighting):
    problem, elsewhere = small_problem(), small_problem()
    first = updater_for(problem, weighting, "adam")
    parameters_after(problem, first, range(2))
    elsewhere.network.to("meta")  # stands for a GPU: tensors with a place and no values
    resumed = updater_for(elsewhere, weighting, "adam")
    resumed.load_state_dict(first.state_dict())
    state = resumed.state_dict()
    extra = state["weighting"].pop("_extra_state", {})
    assert all(tensor.device.type == "cpu" for tensor in state["weighting"].values())
    assert all(value.device.type == "meta" for value in extra.values() if isinstance(value, torch.Tensor))
    moments = state["optimizers"][0]["state"].values()
    assert {moment["exp_avg"].device.type for moment in moments} == {"meta"}


def test_a_loss_that_is_not_finite_ends_the_trial_before_parameters_change():
    problem = small_problem()
    updater = updater_for(problem, "cagrad")
    batch = problem.batch(0)
    batch.targets["task1"][0] = float("inf")
    before = {name: tensor.clone() for name, tensor in problem.network.state_dict().items()}
    with pytest.raises(Diverged, match="task1") as caught:
        updater.step(batch)
    assert caught.value.cause == "nan"
    assert all(torch.equal(tensor, before[name]) for name, tensor in problem.network.state_dict().items())


def test_a_loss_far_above_its_first_value_is_an_explosion():
    problem = small_problem()
    updater = updater_for(problem, "ew", explosion_factor=10.0)
    updater.step(problem.batch(0))
    batch = problem.batch(1)
    batch.targets["task0"].mul_(100.0)
    with pytest.raises(Diverged, match="task0") as caught:
        updater.step(batch)
    assert caught.value.cause == "explosion"


def test_the_schedule_multiplies_the_initial_rate():
    problem, twin = small_problem(), small_problem()
    scheduled, plain = updater_for(problem, "uw", rate=0.2), updater_for(twin, "uw", rate=0.05)
    scheduled.set_learning_rate(0.25)
    assert torch.equal(parameters_after(problem, scheduled, range(3)), parameters_after(twin, plain, range(3)))


@pytest.mark.parametrize("weighting", ["ew", "cagrad"])
def test_an_epoch_reports_losses_weights_and_for_gradient_methods_cosines(weighting):
    problem = small_problem()
    updater = updater_for(problem, weighting)
    parameters_after(problem, updater, range(3))
    figures = updater.end_epoch()
    assert {"train/task0/loss", "train/task2/weight", "train/task1/head_weight"} <= figures.keys()
    assert ("train/cosine/task0-task1" in figures) == (weighting == "cagrad")
    assert updater.end_epoch() == {}
