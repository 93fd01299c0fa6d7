"""The share of the current gradient in an update: closed forms, and training left as it is to the bit."""

import pytest
import torch
from torch import nn

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.params.choice import Choice
from mtlsweep.studies.gradients.shares import ShareMeter
from mtlsweep.testing import small_problem
from mtlsweep.training.step.updater import build_updater


def optimizer(name, **options):
    known = OPTIMIZERS.options_of(name)
    return Choice(name=name, options=options | ({"weight_decay": 0} if "weight_decay" in known else {}))


def shares(choice, gradients):
    """Return the share at each step of an optimizer that gets these gradients of one vector."""
    network = nn.Linear(len(gradients[0]), 1, bias=False)
    made = OPTIMIZERS.create(choice, list(network.parameters()), 0.1)
    meter = ShareMeter(network, [made])
    found = []
    for gradient in gradients:
        network.weight.grad = torch.tensor([gradient])
        meter.start()
        made.step()
        found.append(meter.read())
    return found


CONSTANT = [[3.0, -0.5]] * 12


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_under_a_constant_gradient_momentum_leaves_one_minus_itself(momentum):
    expected = [(1 - momentum) / (1 - momentum**step) for step in range(1, 13)]
    assert shares(optimizer("sgd", momentum=momentum), CONSTANT) == pytest.approx(expected, rel=1e-4)


def test_adam_forgets_the_size_too_so_a_constant_gradient_has_the_ratio_of_its_two_averages():
    """u0 / u = beta1 (1 - beta1^(t-1)) / (1 - beta1^t) / sqrt(beta2 (1 - beta2^(t-1)) / (1 - beta2^t))."""
    beta1, beta2 = 0.8, 0.95

    def remembered(beta, step):
        return beta * (1 - beta ** (step - 1)) / (1 - beta**step)

    expected = [1 - remembered(beta1, t) / remembered(beta2, t) ** 0.5 if t > 1 else 1 for t in range(1, 13)]
    found = shares(optimizer("adam", beta1=beta1, beta2=beta2, epsilon=1e-16), CONSTANT)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("choice", [optimizer("sgd", momentum=0.0), optimizer("signsgd", momentum=0.0)])
def test_without_a_memory_all_of_an_update_is_of_the_current_gradient(choice):
    assert shares(choice, [[1.0, 2.0], [-3.0, 0.1]]) == pytest.approx([1, 1])


def test_where_gradient_and_memory_are_opposite_the_share_is_above_one_or_below_zero():
    sgd = optimizer("sgd", momentum=0.5)
    assert shares(sgd, [[1.0, 0.0], [0.0, 1.0]])[1] == pytest.approx(1 / (1 + 0.25))  # at right angles
    assert shares(sgd, [[1.0, 0.0], [-1.0, 0.0]])[1] == pytest.approx(2)
    assert shares(sgd, [[4.0, 0.0], [-1.0, 0.0]])[1] == pytest.approx(-1)


def test_where_nothing_moves_there_is_no_share():
    assert shares(optimizer("sgd"), [[0.0, 0.0]]) == [None]


def test_a_share_is_read_once():
    network = nn.Linear(2, 1, bias=False)
    made = OPTIMIZERS.create(optimizer("sgd"), list(network.parameters()), 0.1)
    meter = ShareMeter(network, [made])
    network.weight.grad = torch.ones(1, 2)
    meter.start()
    made.step()
    assert meter.read() == pytest.approx(1)
    made.step()
    assert meter.read() is None, "this step was not measured"


@pytest.mark.parametrize(
    ("weighting", "name"),
    [
        *(("ew", name) for name in OPTIMIZERS.names()),
        ("adatask", "adam"),
        ("mtl_io", "sgd"),
        ("uw", "torch.optim:RAdam"),
    ],
)
def test_measuring_changes_no_bit_of_training(weighting, name):
    def trained(measured):
        problem = small_problem()
        updater = build_updater(
            problem.network,
            problem.tasks,
            Choice(name=weighting),
            OPTIMIZERS.resolve(Choice(name=name)),
            0.01,
            generator=torch.Generator().manual_seed(0),
        )
        meter = ShareMeter(problem.network, updater.optimizers) if measured else None
        for step in range(4):
            if meter is not None:
                meter.start()
            updater.step(problem.batch(step))
            if meter is not None:
                found.append(meter.read())
        return problem.network.state_dict()

    found: list[float | None] = []
    with_meter, without = trained(True), trained(False)
    assert all(torch.equal(value, without[key]) for key, value in with_meter.items())
    assert len([share for share in found if share is not None]) >= 3  # SOAP's first step moves nothing
