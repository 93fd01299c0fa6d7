"""What scaling a loss changes: the verdicts are those of theory, and the numbers say so."""

from typing import Any

import pytest
import torch

from mtlsweep.params.params import load_params
from mtlsweep.params.studies import find_section
from mtlsweep.studies.loss_scaling.params import LossScaling
from mtlsweep.studies.loss_scaling.run import relative_differences, run_loss_scaling

ADAM = {"adam": {"epsilon": 1e-16}}
SGD = {"sgd": {"momentum": 0}}


def run(weighting, optimizer, epochs=15, **changes):
    method: Any = {"weighting": weighting, "optimizer": optimizer}  # as YAML gives it
    section = LossScaling(methods=(method,), epochs=epochs, **changes)
    return run_loss_scaling(section)


def verdicts(weighting, optimizer, **changes):
    table = run(weighting, optimizer, **changes).verdicts
    return table.set_index(["backbone", "part"])


def test_optimal_uncertainty_weights_make_every_update_invariant():
    table = verdicts("uw_o", SGD)
    assert len(table) == 5 and table["invariant"].all() and table["largest"].max() < 1e-3


def test_separate_adams_make_every_update_invariant():
    assert verdicts("adatask", ADAM)["invariant"].all()


def test_one_adam_keeps_heads_invariant_over_a_frozen_backbone_and_at_the_first_step_over_a_free_one():
    table = verdicts("ew", ADAM)
    assert table.loc["frozen", "invariant"].all()
    heads = table.loc["free"].drop("backbone")
    assert heads["first_invariant"].all() and not heads["invariant"].any()
    assert not table.loc[("free", "backbone"), "first_invariant"]


def test_sgd_makes_nothing_invariant_and_its_updates_are_as_long_as_the_scales_say():
    table = verdicts("ew", SGD)
    assert not table["first_invariant"].any()
    assert table.loc[("frozen", "head near"), "first_norm_ratio"] == pytest.approx(10, rel=1e-4)
    assert table.loc[("free", "head far"), "first_norm_ratio"] == pytest.approx(0.1, rel=1e-4)


def test_gradients_grow_with_the_scale_where_updates_do_not():
    curves = run("ew", ADAM, epochs=2).curves
    first = curves[(curves["epoch"] == 1) & (curves["part"] == "head near") & (curves["backbone"] == "frozen")]
    values = first.set_index(["quantity", "losses"])["value"]
    assert values["gradient norm", "scaled"] == pytest.approx(10 * values["gradient norm", "unscaled"], rel=1e-4)
    assert values["update norm", "scaled"] == pytest.approx(values["update norm", "unscaled"], rel=1e-4)
    assert values["loss", "scaled"] == pytest.approx(values["loss", "unscaled"], rel=1e-5)
    assert values["scaled loss", "scaled"] == pytest.approx(10 * values["loss", "unscaled"], rel=1e-5)


def test_scales_of_one_change_nothing_at_all():
    table = verdicts("ew", SGD, scales=(1, 1), epochs=3)
    assert (table["largest"] == 0).all() and (table["first_norm_ratio"] == 1).all()


def test_a_gradient_method_can_be_named():
    assert len(verdicts("pcgrad", SGD, epochs=2)) == 5


def test_differences_are_relative_and_no_movement_is_no_difference():
    one = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    other = torch.tensor([[3.0, 4.5], [0.0, 0.0], [1.0, 0.0]])
    assert relative_differences(one, other).tolist() == [pytest.approx(0.1), 0.0, float("inf")]


@pytest.mark.slow
def test_the_eight_settings_that_come_with_the_project_get_the_verdicts_of_theory():
    section = find_section(load_params().studies, LossScaling)
    table = run_loss_scaling(section).verdicts
    verdict = table.groupby(["weighting", "optimizer", "backbone"])["invariant"].agg(["all", "any"])
    free_adam = verdict.loc[("ew", "adam(epsilon=1e-16)")]
    assert verdict.loc["uw_o"]["all"].all() and verdict.loc["adatask"]["all"].all()
    assert free_adam.loc["frozen", "all"] and not free_adam.loc["free", "any"]
    assert not verdict.loc[("ew", "sgd(momentum=0)")]["any"].any()
    assert len(verdict) == 8
