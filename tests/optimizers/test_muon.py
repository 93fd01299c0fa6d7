"""Muon is torch's Muon on shared matrices and torch's AdamW on everything else."""

import io

import pytest
import torch
from torch import nn

from mtlsweep.methods.optimizers import OPTIMIZERS, Parameters
from mtlsweep.params.choice import Choice
from mtlsweep.testing import small_problem
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
RATE = 0.02


def network():
    torch.manual_seed(0)
    return nn.ModuleDict(
        {"backbone": nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Linear(4, 5)), "head": nn.Linear(5, 3)}
    )


def muon_of(net, **options):
    parameters = Parameters.in_network(net, net.parameters(), net["head"].parameters())
    return OPTIMIZERS.create(Choice(name="muon", options=options), parameters, RATE)


def set_gradients(parameters, step):
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("adjust", ["match_rms_adamw", "original"])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_hidden_matrices_move_as_torchs_muon_moves_them_and_the_rest_as_adamw_does(
    memory_format, adjust, nesterov, precision, monkeypatch
):
    """With float32 as torch's moves them where its Newton-Schulz steps do not round to bfloat16."""
    if precision == "float32":
        monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    ours, theirs = network().to(memory_format=memory_format), network()
    options = {"adjust": adjust, "nesterov": nesterov, "precision": precision, "weight_decay": 0.1}
    muon = muon_of(ours, adamw_learning_rate=3e-3, **options)
    kernel, matrix = theirs["backbone"][0].weight, theirs["backbone"][2].weight
    flat = nn.Parameter(kernel.detach().clone().flatten(1))
    others = [each for each in theirs.parameters() if each is not kernel and each is not matrix]
    reference = torch.optim.Muon([flat, matrix], RATE, weight_decay=0.1, nesterov=nesterov, adjust_lr_fn=adjust)
    adamw = torch.optim.AdamW(others, 3e-3, weight_decay=0.1)
    for step in range(5):
        set_gradients(ours.parameters(), step)
        set_gradients(theirs.parameters(), step)
        flat.grad = kernel.grad.flatten(1)
        for optimizer in (muon, reference, adamw):
            optimizer.step()
        kernel.data.copy_(flat.data.view(kernel.shape))
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 18), (40, 5), (1, 7)])
def test_a_first_step_in_float32_is_as_long_in_each_direction_of_its_gradient(shape):
    """A step is about U V^T of the gradient U S V^T: five steps leave singular values within 0.3 of 1."""
    matrix = nn.Parameter(torch.zeros(shape))
    muon = OPTIMIZERS.create(Choice(name="muon", options={"adjust": "original"}), [matrix], 1.0)
    matrix.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix.grad, full_matrices=False)
    muon.step()
    lengths = (left.T @ -matrix.detach() @ right.T).diagonal() / max(1, shape[0] / shape[1]) ** 0.5
    assert ((lengths - 1).abs() < 0.35).all()


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_both_parts_share_the_rate_unless_adamw_has_its_own(precision):
    own = {"precision": precision, "adamw_learning_rate": 0.5}
    assert [group["lr"] for group in muon_of(network(), precision=precision).param_groups] == [RATE, RATE]
    assert [group["lr"] for group in muon_of(network(), **own).param_groups] == [RATE, 0.5]


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_state_that_was_saved_and_loaded_goes_on_to_the_bit_in_each_group(precision):
    whole, other = network(), network()
    first, second = muon_of(whole, precision=precision), muon_of(other, precision=precision)
    for step in range(3):
        set_gradients(whole.parameters(), step)
        first.step()
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    saved.seek(0)
    second.load_state_dict(torch.load(saved, weights_only=True))
    other.load_state_dict(whole.state_dict())
    for group in first.param_groups + second.param_groups:
        group["lr"] = 0.5 * RATE
    for step in range(3, 6):
        for net, muon in ((whole, first), (other, second)):
            set_gradients(net.parameters(), step)
            muon.step()
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), other.parameters(), strict=True))


def test_the_schedule_applies_to_both_parts_and_a_weighting_trains_its_own_parameters_with_adamw():
    problem = small_problem()
    optimizer = Choice(name="muon", options={"adamw_learning_rate": 0.01})
    updater = build_updater(
        problem.network, problem.tasks, Choice(name="uw"), optimizer, 0.1, generator=torch.Generator().manual_seed(0)
    )
    updater.set_learning_rate(0.5)
    updater.step(problem.batch(0))
    rates = [group["lr"] for part in updater.state_dict()["optimizers"][0]["parts"] for group in part["param_groups"]]
    assert rates == [0.05, 0.005]
    moved = updater.state_dict()["weighting"]["log_variance"] + 0.5
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.005), rtol=1e-4, atol=0)
