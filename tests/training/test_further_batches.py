"""Methods that ask for further batches: that they see them, and that they do with them what they say."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.func import functional_call

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.prepared.splits import Batch, with_further
from mtlsweep.testing import small_problem
from mtlsweep.training.epoch import begin_training, train_epoch
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
RATE = 0.1


def updater_for(problem, name, optimizer=None, **options):
    sgd = optimizer or Choice(name="sgd", options={"momentum": 0.0, "weight_decay": 0.0})
    choice = Choice(name=name, options=options)
    return build_updater(problem.network, problem.tasks, choice, sgd, RATE, generator=torch.Generator().manual_seed(0))


def batch_with(problem, *further):
    own = problem.batch(0)
    return replace(own, further=tuple(problem.batch(index) for index in further))


def losses_of(problem, batch, parameters=None):
    outputs = functional_call(problem.network, parameters or {}, (batch.inputs,))
    return torch.stack([task.loss(outputs[task.name], batch.targets[task.name]) for task in problem.tasks])


def shared_gradients(problem, batch):
    shared = problem.network.shared_parameters()
    losses = losses_of(problem, batch)
    rows = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).double()


def flat_shared(problem):
    return torch.cat([each.detach().flatten() for each in problem.network.shared_parameters()]).double()


def test_modo_weighs_by_two_further_batches_and_updates_on_its_own():
    problem = small_problem()
    updater, batch = updater_for(problem, "modo", gamma=0.2), batch_with(problem, 1, 2)
    first, second = (shared_gradients(problem, sample) for sample in batch.further)
    lambdas = torch.full((3,), 1 / 3, dtype=torch.float64)
    expected = lambdas - 0.2 * (first @ (second.T @ lambdas) + 0.1 * lambdas)
    sorted_, shift = expected.sort(descending=True).values, None
    for count in range(1, 4):
        level = (sorted_[:count].sum() - 1) / count
        if sorted_[count - 1] > level:
            shift = level
    expected = (expected - shift).clamp(min=0)
    before, own = flat_shared(problem), shared_gradients(problem, batch)
    updater.step(batch)
    torch.testing.assert_close(flat_shared(problem), before - RATE * expected @ own, rtol=1e-5, atol=1e-6)


def test_heads_follow_their_own_gradient_on_the_own_batch():
    problem = small_problem()
    updater, batch = updater_for(problem, "sdmgrad"), batch_with(problem, 1, 2)
    heads = [problem.network.head_parameters(task.name) for task in problem.tasks]
    losses = losses_of(problem, batch)
    expected = [
        [
            part - RATE * slope
            for part, slope in zip(head, torch.autograd.grad(loss, head, retain_graph=True), strict=True)
        ]
        for loss, head in zip(losses, heads, strict=True)
    ]
    updater.step(batch)
    for head, wanted in zip(heads, expected, strict=True):
        torch.testing.assert_close(list(head), wanted)


def test_auto_lambda_descends_the_further_batchs_loss_after_the_step_with_its_weights():
    problem = small_problem()
    sgd = Choice(name="sgd", options={"momentum": 0.9, "weight_decay": 0.01})
    updater = updater_for(problem, "auto_lambda", sgd, primary=("task1",), learning_rate=1e-3)
    updater.step(batch_with(problem, 5))  # fills the momentum buffers, moves lambda by 1e-3
    method, batch = updater._weighting, batch_with(problem, 1)
    lambdas = method.lambdas.clone().float().requires_grad_()
    parameters = dict(problem.network.named_parameters())
    buffers = {name: updater._optimizers[0].state[each]["momentum_buffer"] for name, each in parameters.items()}
    slopes = torch.autograd.grad(lambdas @ losses_of(problem, batch), list(parameters.values()), create_graph=True)
    tried = {
        name: each - RATE * (0.9 * buffers[name] + slope + 0.01 * each)
        for (name, each), slope in zip(parameters.items(), slopes, strict=True)
    }
    (exact,) = torch.autograd.grad(losses_of(problem, batch.further[0], tried)[1], lambdas)
    seen: list[torch.Tensor] = []
    method.descend = seen.append
    updater.step(batch)
    torch.testing.assert_close(seen[0].float(), exact, rtol=0.02, atol=1e-3)
    assert updater.batches == 2


def test_under_sam_auto_lambda_looks_ahead_from_both_points_with_the_bases_momentum_and_learns_once(monkeypatch):
    """Against exact derivatives, with the state of the step's beginning at both points."""
    momentum, decay, rho = 0.9, 0.01, 0.5
    base = {"sgd": {"momentum": momentum, "weight_decay": decay}}
    sam = Choice(name="sam", options={"base": base, "rho": rho})
    problem = small_problem()
    updater = updater_for(problem, "auto_lambda", sam, learning_rate=0.05)
    updater.step(batch_with(problem, 5))  # fills the momentum buffers and Adam's moments
    method, batch = updater._weighting, batch_with(problem, 1)
    parameters = dict(problem.network.named_parameters())
    (state,) = (part.state for part in updater._optimizers[0].parts)
    buffers = {name: state[each]["momentum_buffer"].clone() for name, each in parameters.items()}
    start = {name: each.detach().clone() for name, each in parameters.items()}
    adam = copy.deepcopy((method.lambdas, method._adam))

    def exact_slopes(at):
        lambdas = adam[0].clone().float().requires_grad_()
        at = {name: each.clone().requires_grad_() for name, each in at.items()}
        slopes = torch.autograd.grad(lambdas @ losses_of(problem, batch, at), list(at.values()), create_graph=True)
        tried = {
            name: each - RATE * (momentum * buffers[name] + slope + decay * each)
            for (name, each), slope in zip(at.items(), slopes, strict=True)
        }
        return torch.autograd.grad(losses_of(problem, batch.further[0], tried).sum(), lambdas)[0]

    def gradient(at, slopes):
        """Return the gradient at a point with the lambda that these slopes lead to from the step's beginning, and it."""
        lambdas, own = copy.deepcopy(adam)
        lambdas.grad = slopes
        own.step()
        at = {name: each.clone().requires_grad_() for name, each in at.items()}
        found = torch.autograd.grad(lambdas.detach().float() @ losses_of(problem, batch, at), list(at.values()))
        return dict(zip(at, found, strict=True)), lambdas

    seen: list[torch.Tensor] = []
    descend = type(method).descend

    def noted(self, slopes):
        seen.append(slopes)
        descend(self, slopes)

    monkeypatch.setattr(type(method), "descend", noted)
    updater.step(batch)
    first, learnt = gradient(start, seen[0])
    length = torch.stack([each.norm() for each in first.values()]).norm()
    second_point = {name: start[name] + rho * first[name] / length for name in start}
    torch.testing.assert_close(seen[0].float(), exact_slopes(start), rtol=0.02, atol=1e-3)
    torch.testing.assert_close(seen[1].float(), exact_slopes(second_point), rtol=0.02, atol=1e-3)
    second, _ = gradient(second_point, seen[1])
    for name, each in parameters.items():
        moved = momentum * buffers[name] + second[name] + decay * start[name]
        torch.testing.assert_close(each.detach(), start[name] - RATE * moved, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(method.lambdas, learnt)
    assert len(seen) == 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
def test_auto_lambda_tries_a_step_of_every_parameter_under_any_optimizer(optimizer):
    problem = small_problem()
    updater = updater_for(problem, "auto_lambda", OPTIMIZERS.resolve(Choice(name=optimizer)))
    named = dict(problem.network.named_parameters())
    for index in range(2):
        batch = batch_with(problem, index + 1)
        losses = updater._route.forward.losses(batch)
        tried = updater._route._after_trial_step(losses, torch.ones(3))
        assert all(not torch.equal(tried.pop(name), each) for name, each in named.items())
        assert not tried
        updater.step(batch)


def test_the_trial_step_leaves_no_trace():
    problem = small_problem()
    updater = updater_for(problem, "auto_lambda", learning_rate=1e-12)
    other = small_problem()
    plain = updater_for(other, "scalar", task0=0.1, task1=0.1, task2=0.1)
    for index in range(3):
        updater.step(batch_with(problem, index + 1))
        plain.step(batch_with(other))
    torch.testing.assert_close(problem.flat_parameters(), other.flat_parameters())


def batches_of(make_trial, data, weighting):
    """Return the batches that training with `weighting` sees in its first epoch."""
    trial = make_trial(
        0,
        tasks=tuple(task.name for task in data.tasks),
        network=NETWORKS.resolve(Choice(name="lenet")),
        weighting=WEIGHTINGS.resolve(Choice(name=weighting)),
        training=Training(epochs=1, batch_size=64),
        data_fingerprint=data.fingerprint,
    )
    seen: list[Batch] = []
    network, updater = begin_training(trial, data, torch.device("cpu"))
    train_epoch(
        trial, data, network, updater, 1, torch.device("cpu"), lambda _network, batch, _epoch: seen.append(batch)
    )
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(("weighting", "count"), [("auto_lambda", 1), ("modo", 2)])
def test_further_batches_are_the_training_data_in_orders_of_their_own(make_trial, digits, weighting, count):
    plain, seen = batches_of(make_trial, digits, "ew"), batches_of(make_trial, digits, weighting)
    assert all(batch.further == () for batch in plain)
    assert len(seen) == len(plain)
    assert all(torch.equal(mine.inputs["image"], its.inputs["image"]) for mine, its in zip(seen, plain, strict=True))
    orders = [torch.cat([batch.inputs["image"] for batch in plain]).flatten(1)]
    orders += [
        torch.cat([batch.further[number].inputs["image"] for batch in seen]).flatten(1) for number in range(count)
    ]
    assert all(len(batch.further) == count for batch in seen)
    for order in orders[1:]:
        torch.testing.assert_close(order.sum(1).sort().values, orders[0].sum(1).sort().values)
    assert len({tuple(order.sum(1).tolist()) for order in orders}) == count + 1


def test_a_task_that_a_further_batch_lacks_is_absent_from_the_step():
    problem = small_problem()
    batch = with_further([problem.batch(0), problem.batch(1), problem.batch(2, ["task1"])])
    before = {
        task.name: [part.clone() for part in problem.network.head_parameters(task.name)] for task in problem.tasks
    }
    updater_for(problem, "modo").step(batch)
    moved = {
        name: not all(map(torch.equal, parts, problem.network.head_parameters(name))) for name, parts in before.items()
    }
    assert moved == {"task0": True, "task1": False, "task2": True}
