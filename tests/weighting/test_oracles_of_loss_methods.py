"""Loss weightings against TorchJD's scalarisations, automatic differentiation, or the formula written out."""

import pytest
import torch
from torchjd.scalarization import DWA, FAMO, IMTLL, STCH, UW, GeometricMean

from mtlsweep.errors import UserError
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice

torch.set_num_threads(1)
LOSSES = torch.tensor([0.3, 1.7, 12.0], dtype=torch.float64)


def method(name, tasks=3, seed=0, **options):
    names = [f"task{index}" for index in range(tasks)]
    return WEIGHTINGS.create(Choice(name=name, options=options), names, torch.Generator().manual_seed(seed))


def slopes(scalarize, losses=LOSSES):
    """Return what a scalarisation multiplies each task's gradient by."""
    leaves = losses.clone().requires_grad_()
    return torch.autograd.grad(scalarize(leaves), leaves)[0]


def test_equal_weights_are_one():
    assert method("ew").weigh(LOSSES).tolist() == [1, 1, 1]


def test_uw_weights_and_the_gradient_of_its_log_variances_are_those_of_the_objective():
    ours, theirs = method("uw"), UW(3).double()
    with torch.no_grad():
        theirs.log_var.fill_(-0.5)
    torch.testing.assert_close(ours.weigh(LOSSES), slopes(theirs))
    theirs(LOSSES).backward()
    torch.testing.assert_close(ours.log_variance.grad, theirs.log_var.grad)


def test_uws_optimum_is_where_the_variance_equals_the_loss():
    ours = method("uw")
    with torch.no_grad():
        ours.log_variance.copy_(LOSSES.log())
    ours.weigh(LOSSES)
    torch.testing.assert_close(ours.log_variance.grad, torch.zeros(3, dtype=torch.float64))


def test_imtl_l_is_that_of_torchjd():
    ours, theirs = method("imtl_l"), IMTLL(3).double()
    torch.testing.assert_close(ours.weigh(LOSSES), slopes(theirs))
    theirs(LOSSES).backward()
    torch.testing.assert_close(ours.log_scale.grad, theirs.log_scale.grad)


def test_uw_o_makes_every_weighted_loss_one_whatever_its_scale():
    for scale in (1e-6, 1.0, 1e6):
        torch.testing.assert_close(
            method("uw_o").weigh(scale * LOSSES) * scale * LOSSES, torch.ones(3, dtype=torch.float64)
        )


@pytest.mark.parametrize("temperature", [0.5, 20.0])
def test_uw_so_is_a_softmax_of_inverse_losses(temperature):
    expected = torch.exp(1 / LOSSES / temperature)
    torch.testing.assert_close(method("uw_so", temperature=temperature).weigh(LOSSES), expected / expected.sum())


def test_rlw_draws_positive_weights_that_sum_to_one_and_have_equal_means():
    ours = method("rlw")
    drawn = torch.stack([ours.weigh(LOSSES) for _ in range(4000)])
    assert (drawn > 0).all()
    torch.testing.assert_close(drawn.sum(1), torch.ones(4000, dtype=torch.float64))
    torch.testing.assert_close(drawn.mean(0), torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=0.015)


def test_dwa_is_that_of_torchjd_epoch_by_epoch():
    ours, theirs = method("dwa"), DWA()
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        seen = []
        for _ in range(3):
            losses = torch.rand(3, generator=generator, dtype=torch.float64) + 0.1
            torch.testing.assert_close(ours.weigh(losses), slopes(theirs, losses))
            seen.append(losses)
        ours.end_epoch(torch.stack(seen).mean(0))
        theirs.step()


def test_gls_is_the_geometric_mean():
    torch.testing.assert_close(method("gls").weigh(LOSSES), slopes(GeometricMean()))


def test_gls_survives_many_small_losses():
    weights = method("gls", tasks=40).weigh(torch.full((40,), 1e-12, dtype=torch.float64))
    torch.testing.assert_close(weights, torch.full((40,), 1 / 40, dtype=torch.float64))


def test_famo_is_that_of_torchjd_step_by_step():
    ours, theirs = method("famo"), FAMO(3).double()
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        before, after = torch.rand(2, 3, generator=generator, dtype=torch.float64) + 0.1
        torch.testing.assert_close(ours.weigh(before), slopes(theirs, before))
        ours.observe(after)
        theirs.update(after)
        torch.testing.assert_close(ours.logits, theirs._w.detach())


def test_stch_minimises_logarithms_and_then_their_smooth_maximum():
    ours = method("stch", warmup_epochs=1, mu=0.3)
    for epoch_means in (2 * LOSSES, 3 * LOSSES):
        torch.testing.assert_close(ours.weigh(LOSSES), slopes(lambda losses: losses.log().sum()))
        ours.end_epoch(epoch_means)
    seen = LOSSES * torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    smooth_maximum = STCH(mu=0.3, weights=torch.ones(3, dtype=torch.float64))
    expected = slopes(lambda losses: 3 * smooth_maximum(torch.log(losses / (3 * LOSSES))), seen)
    torch.testing.assert_close(ours.weigh(seen), expected)


def test_scalar_weights_are_those_given_by_task():
    assert method("scalar", task1=0.5, task0=1, task2=0).weigh(LOSSES).tolist() == [1, 0.5, 0]


def test_scalar_needs_a_weight_for_each_task():
    with pytest.raises(UserError, match="task0, task1, task2; found weights for task0, task7"):
        method("scalar", task0=1, task7=1)


def test_gradnorms_logits_follow_the_gradient_of_its_objective():
    ours = method("gradnorm", alpha=1.5)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 9, generator=generator, dtype=torch.float64)
    assert ours.weigh(LOSSES, rows @ rows.T).shared.tolist() == [1, 1, 1]
    assert ours.logits.grad is None
    ours.end_epoch(2 * LOSSES)
    with torch.no_grad():
        ours.logits.copy_(torch.tensor([0.1, -0.2, 0.4]))
    now = LOSSES * torch.tensor([1.0, 0.5, 0.1], dtype=torch.float64)
    weights = ours.weigh(now, rows @ rows.T)
    logits = ours.logits.detach().clone().requires_grad_()
    lengths = 3 * logits.softmax(0) * rows.norm(dim=1)
    rates = now / (2 * LOSSES)
    targets = (lengths.mean() * (rates / rates.mean()) ** 1.5).detach()
    (expected,) = torch.autograd.grad((lengths - targets).abs().sum(), logits)
    torch.testing.assert_close(ours.logits.grad, expected)
    assert weights.shared.sum().item() == pytest.approx(3)
    assert torch.equal(weights.shared, weights.heads)
