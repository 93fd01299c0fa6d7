"""ConsMTL's step is that of its official code, written down once more."""

import pytest
import torch
from scipy.optimize import least_squares

from mtlsweep.params.choice import Choice
from mtlsweep.testing import small_problem
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
RATE = 0.1


def flat(tensors):
    return torch.cat([each.flatten() for each in tensors])


@pytest.mark.parametrize("pull", [1e-3, 1.0], ids=["short pull", "clipped pull"])
def test_heads_are_drawn_to_the_joint_gradient_at_the_representation(pull):
    problem = small_problem()
    network, batch = problem.network, problem.batch(0)
    sgd = Choice(name="sgd", options={"momentum": 0.0, "weight_decay": 0.0})
    choice = Choice(name="cons_mtl", options={"pull": pull})
    updater = build_updater(network, problem.tasks, choice, sgd, RATE, generator=torch.Generator())

    representation = network.representation(batch.inputs)
    heads = [network.head_parameters(task.name) for task in problem.tasks]
    losses = [task.loss(network.heads[task.name](representation), batch.targets[task.name]) for task in problem.tasks]
    shared = network.shared_parameters()
    rows = torch.stack([flat(torch.autograd.grad(loss, shared, retain_graph=True)) for loss in losses])
    products = (rows @ rows.T).double().numpy()
    fit = least_squares(lambda x: products @ x - x**-0.5, [1 / 3] * 3, bounds=(0, torch.inf), xtol=1e-15, ftol=1e-15)
    weights = torch.from_numpy(fit.x).float()
    deltas = [torch.autograd.grad(loss, representation, create_graph=True)[0] for loss in losses]
    delta = sum(weight * each for weight, each in zip(weights, deltas, strict=True)).detach()
    expected = []
    for head, loss, own in zip(heads, losses, deltas, strict=True):
        first = flat(torch.autograd.grad(loss, head, retain_graph=True))
        second = flat(torch.autograd.grad(-pull * (own * delta).sum(), head, retain_graph=True, materialize_grads=True))
        limit = 0.1 * first.norm()
        expected.append(flat(head).detach() - RATE * (first + second * min(1.0, limit / second.norm())))
    update = 3 * weights @ rows
    expected_shared = flat(shared).detach() - RATE * update / max(1.0, update.norm())

    updater.step(batch)
    torch.testing.assert_close(flat(shared).detach(), expected_shared, rtol=1e-5, atol=1e-6)
    for head, wanted in zip(heads, expected, strict=True):
        torch.testing.assert_close(flat(head).detach(), wanted, rtol=1e-5, atol=1e-6)
