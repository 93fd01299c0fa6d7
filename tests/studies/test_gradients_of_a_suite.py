"""Gradients measured while a finished trial trains again: training is the same bit for bit, tables are complete."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.studies import find_section
from mtlsweep.params.suite import NamedCell
from mtlsweep.studies.finished_trials import ChosenTrial, FinishedSuite
from mtlsweep.studies.gradients.pairs import MEASURES
from mtlsweep.studies.gradients.params import Gradients
from mtlsweep.studies.gradients.run import run
from mtlsweep.studies.gradients.watcher import EFFECT_COLUMNS, EPOCH_COLUMNS, SHARE_COLUMNS, measure_training
from mtlsweep.studies.retraining import reproduces_recorded_metrics, retrain, trained_network

SUITE, CPU = "digits", torch.device("cpu")


def test_training_again_is_the_trial_to_the_bit_even_while_it_is_measured(mini_suite):
    chosen = ChosenTrial(mini_suite.multi.trial, 2, mini_suite.multi.state)
    section = find_section(mini_suite.params.suites[SUITE].studies, Gradients)
    seen = []
    network = retrain(chosen.trial, mini_suite.data, CPU, 2, lambda network, batch, epoch: seen.append(epoch))
    recorded = load(mini_suite.weights)
    assert all(torch.equal(value, recorded[name]) for name, value in network.state_dict().items())
    assert seen == [1, 1, 1, 2, 2, 2]

    measured = measure_training(chosen, mini_suite.data, section, CPU)
    assert reproduces_recorded_metrics(network, chosen, mini_suite.data, CPU) and measured.about["parameters"] > 0


def test_tables_have_every_measure_of_every_epoch_and_equal_runs_give_equal_bytes(mini_suite):
    run(mini_suite.params, SUITE)
    directory = paths.results(SUITE) / "gradients"
    first = {name: (directory / name).read_bytes() for name in ("epochs.parquet", "effects.parquet", "about.json")}
    epochs, effects = pd.read_parquet(directory / "epochs.parquet"), pd.read_parquet(directory / "effects.parquet")
    assert list(epochs.columns) == EPOCH_COLUMNS and list(effects.columns) == EFFECT_COLUMNS
    assert len(epochs) == 2 * 2 * 2 * 3 * len(MEASURES)  # epochs, kinds, averaged or not, subsets
    whole = epochs[
        (epochs["epoch"] == 1) & (epochs["subset"] == "all") & (epochs["measure"] == "cosine") & ~epochs["averaged"]
    ]
    pairs = whole.set_index("kind")["pairs"]
    assert pairs["inter-task"] <= 2 * 3 * 3 and pairs["inter-sample"] <= 2 * 3 * 3  # measured at iterations 0 and 2
    costs = json.loads((directory / "costs.json").read_text())[mini_suite.multi.trial.key]
    assert 0 < costs["measuring"] < costs["total"]
    run(mini_suite.params, SUITE)
    assert first == {name: (directory / name).read_bytes() for name in first}


def test_the_share_of_the_current_gradient_is_recorded_on_request_and_changes_nothing_else(mini_suite):
    run(mini_suite.params, SUITE)
    directory = paths.results(SUITE) / "gradients"
    other = {name: (directory / name).read_bytes() for name in ("epochs.parquet", "effects.parquet", "about.json")}
    assert pd.read_parquet(directory / "shares.parquet").empty
    run(mini_suite.params_with("gradients", shares=True), SUITE)
    assert other == {name: (directory / name).read_bytes() for name in other}
    shares = pd.read_parquet(directory / "shares.parquet")
    assert list(shares.columns) == SHARE_COLUMNS
    assert list(shares["epoch"]) == [1, 2] and list(shares["updates"]) == [2, 1]  # iterations 0, 2 and 4
    assert shares["mean"].iloc[0] > shares["mean"].iloc[1] > 0, "the first update of all has nothing to remember"


def test_switched_off_it_leaves_empty_tables(mini_suite):
    run(mini_suite.params_with("gradients", enabled=False), SUITE)
    directory = paths.results(SUITE) / "gradients"
    assert (
        pd.read_parquet(directory / "epochs.parquet").empty and json.loads((directory / "about.json").read_text()) == []
    )


def test_a_cell_can_be_named_and_an_unknown_one_is_an_error(mini_suite):
    finished = FinishedSuite.read(mini_suite.ledger.directory.parent)
    key = mini_suite.multi.trial.cell.key
    assert finished.best_equal_weights() == key
    assert finished.named(NamedCell(weighting="ew", optimizer="adam", learning_rate=0.003)) == key
    with pytest.raises(UserError, match="Allowed: ew adam"):
        finished.named(NamedCell(weighting="ew", optimizer="adm"))
    with pytest.raises(UserError, match=r"not finished at learning rate 0.1; choose one at which it has: 0.003"):
        finished.named(NamedCell(weighting="ew", optimizer="adam", learning_rate=0.1))


def test_a_checkpoint_of_another_epoch_is_noticed_and_the_trial_trained_again(mini_suite):
    chosen = ChosenTrial(mini_suite.multi.trial, 1, mini_suite.multi.state)
    network = trained_network(chosen, mini_suite.data, mini_suite.ledger, CPU)
    assert reproduces_recorded_metrics(network, chosen, mini_suite.data, CPU)
    assert not torch.equal(load(mini_suite.weights)["backbone.0.weight"], network.state_dict()["backbone.0.weight"])
