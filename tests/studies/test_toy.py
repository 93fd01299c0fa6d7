"""The toy problem: the fast form is the plain one to the bit, and gives the figures of the study."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.params.choice import Choice
from mtlsweep.studies.toy.params import Toy
from mtlsweep.studies.toy.problem import STARTS, evaluate, losses
from mtlsweep.studies.toy.run import run_toy
from mtlsweep.studies.toy.together import Method, recorded_iterations, run_together
from mtlsweep.studies.toy.updates import Adam, GradientDescent, conflict_averse_weight


def toy(**fields: Any) -> Toy:
    """Return the section with these fields as YAML gives them."""
    return Toy(**fields)


def plain_gradients(positions):
    """Return losses [2, R] and gradients [2, 2, R] by autograd."""
    points = torch.from_numpy(positions).requires_grad_()
    values = losses(points[0], points[1])
    gradients = [torch.autograd.grad(value.sum(), points, retain_graph=True)[0].numpy() for value in values]
    return torch.stack(values).detach().numpy(), np.stack(gradients)


def plain_cagrad(g1, g2, c=0.5):
    """CAGrad as the official toy code writes it, one point at a time, on torch tensors."""
    g0 = (g1 + g2) / 2
    g11, g12, g22 = g1.dot(g1).item(), g1.dot(g2).item(), g2.dot(g2).item()
    reach = c * (0.5 * np.sqrt(g11 + g22 + 2 * g12 + 1e-4))

    def objective(x):
        length = np.sqrt(x**2 * (g11 + g22 - 2 * g12) + 2 * x * (g12 - g22) + g22 + 1e-4)
        return reach * length + 0.5 * x * (g11 + g22 - 2 * g12) + (0.5 + x) * (g12 - g22) + g22

    x = minimize_scalar(objective, bounds=(0, 1), method="bounded").x
    length = np.sqrt(x**2 * g11 + (1 - x) ** 2 * g22 + 2 * x * (1 - x) * g12 + 1e-4)
    return (g0 + (reach / (length + 1e-4)) * (x * g1 + (1 - x) * g2)) / (1 + c)


def plain_pcgrad(g1, g2):
    g11, g12, g22 = g1.dot(g1).item(), g1.dot(g2).item(), g2.dot(g2).item()
    return ((1 - g12 / g11) * g1 + (1 - g12 / g22) * g2) / 2 if g12 < 0 else (g1 + g2) / 2


VECTOR = 32
"""So many copies of two numbers are stepped together: torch's kernels round the odd ends of short vectors otherwise."""


def plain_trajectory(update, optimizer, learning_rate, start, steps):
    copies = torch.tensor(start).repeat(VECTOR)
    stepper = OPTIMIZERS.create(optimizer, [copies], learning_rate)
    places = [copies[:2].tolist()]
    for _ in range(steps):
        position = copies[:2].clone().requires_grad_()
        values = losses(position[0], position[1])
        g1, g2 = (torch.autograd.grad(value, position, retain_graph=True)[0] for value in values)
        copies.grad = update(g1, g2).repeat(VECTOR)
        stepper.step()
        places.append(copies[:2].tolist())
    return places


def test_losses_and_gradients_are_those_of_autograd_to_the_bit():
    positions = (np.random.default_rng(0).standard_normal((2, 5000)) * 6).astype(np.float32)
    positions[:, :3] = [[0.0, -7.0, 3.0], [0.0, 0.0, -8.0]]
    values, gradients = plain_gradients(positions)
    point = evaluate(positions)
    np.testing.assert_array_equal(point.losses, values)
    np.testing.assert_array_equal(point.gradients, gradients)


@pytest.mark.parametrize("weighting", ["ew", "pcgrad", "cagrad"])
@pytest.mark.parametrize("optimizer", ["gd", "adam"])
def test_trajectories_are_those_of_torch_one_point_at_a_time(weighting, optimizer):
    update = {"ew": lambda g1, g2: (g1 + g2) / 2, "pcgrad": plain_pcgrad, "cagrad": plain_cagrad}[weighting]
    options = {"weight_decay": 0.0} | ({"momentum": 0.0} if optimizer == "gd" else {})
    torch_optimizer = Choice(name="sgd" if optimizer == "gd" else "adam", options=options)
    rates, steps = (0.5, 0.05), 19
    runs = run_together(Method(Choice(name=weighting), Choice(name=optimizer)), rates, steps)
    for run in runs:
        expected = plain_trajectory(update, torch_optimizer, run.lr, STARTS[run.start], run.iterations[-1])
        assert list(zip(run.x1, run.x2, strict=True)) == [tuple(expected[iteration]) for iteration in run.iterations]


positive = st.floats(min_value=1e-6, max_value=1e4)


@settings(max_examples=200, deadline=None)
@given(positive, positive, st.floats(-1, 1))
def test_the_scalar_search_is_scipys_step_by_step(g11, g22, cosine):
    g12 = cosine * math.sqrt(g11 * g22)
    reach = 0.25 * math.sqrt(g11 + g22 + 2 * g12 + 1e-4)
    square, linear = g11 + g22 - 2 * g12, g12 - g22

    def objective(x):
        return (
            reach * math.sqrt(x * x * square + 2 * x * linear + g22 + 1e-4)
            + 0.5 * x * square
            + (0.5 + x) * linear
            + g22
        )

    assert (
        conflict_averse_weight(reach, square, linear, g22)
        == minimize_scalar(objective, bounds=(0, 1), method="bounded").x
    )


def test_the_steppers_round_as_torchs_optimizers_do():
    generator = np.random.default_rng(1)
    rates = np.array([0.5, 0.05, 0.001])
    for stepper, name, options in ((Adam, "adam", {}), (GradientDescent, "sgd", {"momentum": 0.0})):
        ours = generator.standard_normal((2, 3)).astype(np.float32)
        parameters = [torch.from_numpy(ours[:, row]).repeat(VECTOR) for row in range(3)]
        choice = Choice(name=name, options={"weight_decay": 0.0, **options})
        theirs = [OPTIMIZERS.create(choice, [p], float(rate)) for p, rate in zip(parameters, rates, strict=True)]
        state = stepper(rates)
        for _ in range(30):
            updates = (generator.standard_normal((2, 3)) * 10.0 ** generator.integers(-3, 3)).astype(np.float32)
            ours = state.step(ours, updates)
            for row, (parameter, optimizer) in enumerate(zip(parameters, theirs, strict=True)):
                parameter.grad = torch.from_numpy(updates[:, row]).repeat(VECTOR)
                optimizer.step()
        np.testing.assert_array_equal(ours, torch.stack(parameters, dim=1)[:2].numpy())


@pytest.mark.slow
def test_the_figures_of_the_study_at_learning_rate_1_and_again_the_same():
    section = Toy(learning_rates=(1.0,), iterations=600)
    first, second = run_toy(section, workers=1), run_toy(section, workers=1)
    arrived = first.iterations.dropna().set_index(["optimizer", "weighting"])["iterations"].to_dict()
    assert arrived == {("adam", "ew"): 22, ("adam", "pcgrad"): 56, ("adam", "cagrad"): 32, ("gd", "cagrad"): 213}
    assert first.iterations.equals(second.iterations) and first.trajectories.equals(second.trajectories)


@pytest.mark.slow
def test_equal_weights_and_pcgrad_never_arrive_by_gradient_descent_at_learning_rate_1():
    section = toy(weightings=("ew", "pcgrad"), optimizers=("gd",), learning_rates=(1.0,), iterations=1000)
    tables = run_toy(section, workers=1)
    assert tables.iterations["iterations"].isna().all()
    ends = tables.trajectories.groupby(["weighting", "start"])["iteration"].max()
    stands_still = ends < section.iterations  # and gradient descent never leaves such a point, however long it runs
    assert stands_still.groupby("weighting").any().to_dict() == {"ew": True, "pcgrad": True}


@pytest.mark.slow
def test_processes_change_nothing():
    section = toy(weightings=("ew",), learning_rates=(1.0, 0.5), iterations=30)
    alone, shared = run_toy(section, workers=1), run_toy(section, workers=2)
    assert alone.iterations.equals(shared.iterations) and alone.trajectories.equals(shared.trajectories)


@pytest.mark.slow
def test_any_weighting_and_optimizer_runs_on_the_projects_own_trainer():
    section = toy(
        weightings=("ew", {"cagrad": {"c": 0.4}}, "imtl"),
        optimizers=("adam", "signsgd"),
        learning_rates=(1.0,),
        iterations=40,
    )
    table = run_toy(section, workers=1).iterations.set_index(["optimizer", "weighting"])["iterations"]
    assert list(table.index) == [(o, w) for o in ("adam", "signsgd") for w in ("ew", "cagrad(c=0.4)", "imtl")]
    assert table["adam", "ew"] == 22


def test_the_trainer_arrives_where_the_toy_form_does():
    """Adam does not feel that the trainer adds gradients where the toy averages them."""
    section = toy(weightings=("ew",), optimizers=({"adam": {"epsilon": 1e-9}},), learning_rates=(1.0,), iterations=40)
    assert run_toy(section, workers=1).iterations["iterations"].tolist() == [22]


def test_an_invalid_pair_is_an_error_before_anything_runs():
    with pytest.raises(UserError, match="adatask"):
        run_toy(toy(weightings=("adatask",), optimizers=("gd",)), workers=1)


def test_trajectories_are_drawn_densely_at_first_and_to_the_end():
    chosen = recorded_iterations(100_000)
    assert chosen[:20] == list(range(20)) and chosen[-1] == 100_000 and len(chosen) < 120
    assert recorded_iterations(3) == [0, 1, 2]
