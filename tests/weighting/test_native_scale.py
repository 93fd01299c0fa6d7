"""The scale of the shared update and of the heads as published: the table of `docs/methods.md`."""

import numpy as np
import pytest
import torch

from mtlsweep.methods.weighting import WEIGHTINGS, GramianWeighting, Weights, describe_methods
from mtlsweep.methods.weighting.weighting import Conventions, unit_factor
from mtlsweep.params.choice import Choice
from mtlsweep.testing import matrices

LOSSES = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
ORTHONORMAL = torch.eye(3, 7, dtype=torch.float64)
EQUAL = torch.ones(3, 7, dtype=torch.float64)
CONFLICTING = dict(matrices(3))["conflicting"]


def weigh(name, rows, **options):
    method = WEIGHTINGS.create(Choice(name=name, options=options), ["a", "b", "c"], torch.Generator().manual_seed(0))
    assert isinstance(method, GramianWeighting)
    return method.weigh(LOSSES, rows @ rows.T)


def test_pcgrad_is_the_sum_where_nothing_conflicts():
    weights = weigh("pcgrad", EQUAL)
    assert weights.shared.tolist() == weights.heads.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("rescale", "divisor"), [(0, 1.0), (1, 1.25), (2, 1.5)])
def test_cagrad_is_the_mean_plus_a_step_of_c_times_its_length_over_its_rescaling(rescale, divisor):
    update = weigh("cagrad", EQUAL, rescale=rescale).shared @ EQUAL
    torch.testing.assert_close(update, 1.5 / divisor * EQUAL[0])


def test_imtl_gs_weights_sum_to_one_and_may_be_negative():
    assert weigh("imtl_g", CONFLICTING).shared.sum().item() == pytest.approx(1)
    skew = torch.tensor([[1.0, 0.0, 0.0], [0.99, 0.1, 0.0], [0.5, 0.9, 0.3]], dtype=torch.float64)
    assert weigh("imtl_g", skew).shared.min() < 0


def test_imtl_is_imtl_g_of_the_scaled_gradients_and_heads_follow_their_scale():
    weights = weigh("imtl", CONFLICTING, start=0.7)
    scale = np.exp(0.7)
    torch.testing.assert_close(weights.shared / scale, weigh("imtl_g", scale * CONFLICTING).shared)
    torch.testing.assert_close(weights.heads, torch.full((3,), scale, dtype=torch.float64))


def test_aligned_mtl_is_the_sum_of_gradients_that_are_aligned_already():
    torch.testing.assert_close(weigh("aligned_mtl", ORTHONORMAL).shared, torch.ones(3, dtype=torch.float64))


def test_mgda_is_a_convex_combination():
    weights = weigh("mgda", CONFLICTING).shared
    assert weights.min() >= 0
    assert weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("normalize", ["l2", "loss", "loss+"])
def test_mgda_normalised_is_mgda_of_the_divided_gradients(normalize):
    norms = CONFLICTING.norm(dim=1)
    divisors = {"l2": norms, "loss": LOSSES, "loss+": LOSSES * norms}[normalize]
    expected = weigh("mgda", CONFLICTING / divisors[:, None]).shared / divisors
    torch.testing.assert_close(weigh("mgda", CONFLICTING, normalize=normalize).shared, expected)


def test_nash_mtls_update_has_norm_one_and_heads_are_not_clipped():
    weights = weigh("nash_mtl", CONFLICTING)
    assert (weights.shared @ CONFLICTING).norm().item() == pytest.approx(1)
    torch.testing.assert_close(weights.heads, weights.shared * np.sqrt(3))  # the bargain itself has norm sqrt(T)


def test_upgrad_is_the_mean_where_nothing_conflicts():
    torch.testing.assert_close(weigh("upgrad", EQUAL).shared, torch.full((3,), 1 / 3, dtype=torch.float64))


def test_config_is_as_long_as_its_projections_of_all_gradients_together():
    update = weigh("config", CONFLICTING).shared @ CONFLICTING
    assert update.norm().item() == pytest.approx((CONFLICTING @ (update / update.norm())).sum().item())


@pytest.mark.parametrize("name", ["pcgrad", "cagrad", "aligned_mtl", "mgda", "upgrad", "gradvac", "config", "imtl_g"])
def test_these_leave_heads_to_their_own_gradient(name):
    assert weigh(name, CONFLICTING).heads.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["fairgrad", "gradnorm"])
def test_these_weigh_heads_as_shared_parameters(name):
    weights = weigh(name, CONFLICTING)
    assert torch.equal(weights.heads, weights.shared)


def test_unit_scale_keeps_the_direction():
    native, unit = weigh("cagrad", CONFLICTING), Conventions(scale="unit").apply(weigh("cagrad", CONFLICTING))
    torch.testing.assert_close(unit.shared, native.shared * 3 / native.shared.sum())
    assert unit.heads.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("weights", "factor"), [([2.0, 4.0], 1 / 3), ([3.0, -1.0], 1.0), ([1.0, -1.0], 1.0), ([0.0, 0.0], 1.0)]
)
def test_unit_scale_never_turns_an_update_round(weights, factor):
    assert unit_factor(torch.tensor(weights, dtype=torch.float64)) == pytest.approx(factor)


def test_heads_can_be_made_to_follow_their_own_gradient_or_the_shared_weight():
    weights = Weights(torch.tensor([0.2, 0.8]), torch.tensor([5.0, 6.0]))
    assert Conventions(heads="one").apply(weights).heads.tolist() == [1, 1]
    assert torch.equal(Conventions(heads="same").apply(weights).heads, weights.shared)


def test_the_table_of_methods_has_a_full_row_for_each():
    rows = describe_methods()
    assert [row.name for row in rows if row.kind == "optimizer"] == ["adatask", "mtl_io"]
    assert len(rows) == len(WEIGHTINGS.names()) == 37
    assert all(row.paper and row.scale and row.heads and row.cost for row in rows)


def test_the_table_of_methods_says_where_each_comes_from():
    rows = {row.name: row for row in describe_methods()}
    assert (rows["sdmgrad"].year, rows["sdmgrad"].arxiv) == (2023, "2305.18409")
    assert rows["sdmgrad"].code == "https://github.com/OptMN-Lab/sdmgrad"
    assert [name for name, row in rows.items() if row.year is None] == ["ew"]
    at_other_places = {
        "ew",
        "imtl",
        "imtl_g",
        "imtl_l",
        "moco",
        "cons_mtl",
        "cr_mogm",
        "pivrg",
    }  # OpenReview, CVPR, NeurIPS
    assert {name for name, row in rows.items() if row.arxiv is None} == at_other_places
    assert all(row.code.startswith("https://github.com/") for row in rows.values() if row.code)
