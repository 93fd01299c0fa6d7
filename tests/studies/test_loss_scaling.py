"""What scaling a loss changes: the verdicts are those of theory, and the numbers say so."""

from typing import Any

import pytest
import torch

from mtlsweep.methods.optimizers import OPTIMIZERS
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
def test_every_optimizer_of_the_registry_gets_a_verdict_on_backbone_and_heads():
    section = find_section(load_params().studies, LossScaling)
    named = [*section.optimizers, *(method.optimizer for method in section.methods)]
    assert {choice.name for choice in named} == set(OPTIMIZERS.names())
    short = section.model_copy(update={"epochs": 1, "optimizer_epochs": 6})
    table = run_loss_scaling(short).verdicts.query("weighting == 'ew'")
    heads = table[table["part"] != "backbone"].set_index(["optimizer", "backbone"])["invariant"].groupby(level=[0, 1])
    frozen = heads.all().xs("frozen", level="backbone")
    base = frozen.index.str.partition("(").get_level_values(0)
    assert set(base[~frozen]) == {"sgd", "sam", "soap"}
    free = table[(table["part"] == "backbone")].set_index("optimizer")["first"]
    assert (free > 0.5).all(), "the ratio of tasks on the backbone is hidden by no optimizer"


@pytest.mark.parametrize(
    "optimizer",
    [ADAM, "signsgd", "lion", {"muon": {"epsilon": 1e-16}}, {"adafactor": {"epsilon": 1e-16}}, {"sam": {"base": ADAM}}],
)
def test_one_factor_for_all_losses_changes_nothing_but_under_sgd(optimizer):
    assert verdicts("ew", optimizer, scales=(8.0, 8.0), epochs=8)["invariant"].all()
    assert not verdicts("ew", SGD, scales=(8.0, 8.0), epochs=2)["first_invariant"].any()


@pytest.mark.slow
def test_optimizers_of_their_own_list_have_verdicts_and_no_curves():
    section = LossScaling(methods=({"weighting": "ew", "optimizer": SGD},), optimizers=("lion",), epochs=2)  # type: ignore[arg-type]
    tables = run_loss_scaling(section)
    assert set(tables.curves["optimizer"]) == {"sgd(momentum=0)"}
    assert set(tables.verdicts["optimizer"]) == {"sgd(momentum=0)", "lion"}


@pytest.mark.slow
def test_the_eight_settings_that_come_with_the_project_get_the_verdicts_of_theory():
    section = find_section(load_params().studies, LossScaling)
    table = run_loss_scaling(section).verdicts
    verdict = table.groupby(["weighting", "optimizer", "backbone"])["invariant"].agg(["all", "any"])
    free_adam = verdict.loc[("ew", "adam(epsilon=1e-16)")]
    assert verdict.loc["uw_o"]["all"].all() and verdict.loc["adatask"]["all"].all()
    assert free_adam.loc["frozen", "all"] and not free_adam.loc["free", "any"]
    assert not verdict.loc[("ew", "sgd(momentum=0)")]["any"].any()
    assert len(verdict) == 8 + 2 * len(section.optimizers)
