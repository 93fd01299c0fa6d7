"""The tables from which settings are selected: which cells compete in which order, and which epoch a trial has."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mtlsweep.analysis.chosen_epochs import at_epochs, attach
from mtlsweep.analysis.selection import METHOD, eligible_cells, rank_cells, select_learning_rates, tuned_axes
from mtlsweep.trials.metric_names import MetricName


def trials(**changes: object) -> pd.DataFrame:
    """Return two cells with two seeds of one method; the cell with the higher key and rate is better."""
    table = pd.DataFrame(
        {
            "weighting": "ew",
            "optimizer": "sgd",
            "cell_key": ["a", "a", "b", "b"],
            "lr": [0.01, 0.01, 0.1, 0.1],
            "seed": [0, 1, 0, 1],
            "outcome": "done",
            "val_delta_m": [3.0, 5.0, 1.0, 2.0],
        }
    )
    return table.assign(**changes)


def test_an_axis_is_tuned_if_one_method_tries_several_of_its_values() -> None:
    methods = {"weighting": ["ew", "ew", "uw", "uw"]}
    axes = {
        "optimizer.momentum": ["0", "0.9", "0", "0"],
        "network.width": ["50", "50", "50", "50"],
        "training.batch_size": ["8", "8", "16", "16"],
    }
    assert tuned_axes(trials(**methods, **axes)) == ["optimizer.momentum"]
    assert tuned_axes(trials()) == []


def test_cells_are_ranked_by_their_mean_and_keep_their_axes() -> None:
    cells = rank_cells(trials(**{"optimizer.momentum": ["0", "0", "0.9", "0.9"]}), METHOD, "val_delta_m")
    expected = pd.DataFrame(
        {
            "weighting": "ew",
            "optimizer": "sgd",
            "cell_key": ["b", "a"],
            "lr": [0.1, 0.01],
            "seeds": 2,
            "mean": [1.5, 4.0],
            "done": True,
            "optimizer.momentum": ["0.9", "0"],
        }
    )
    pd.testing.assert_frame_equal(cells, expected)


def test_categories_without_a_trial_are_no_cells() -> None:
    names = pd.Categorical(["ew"] * 4, categories=["ew", "uw"])
    table = trials(weighting=names)
    assert rank_cells(table, METHOD, "val_delta_m")["cell_key"].tolist() == ["b", "a"]
    assert select_learning_rates(table)["cell_key"].tolist() == ["b"]


def test_a_cell_without_a_finite_figure_does_not_compete_although_it_is_done() -> None:
    table = trials(val_delta_m=[3.0, 5.0, np.nan, np.inf])
    assert rank_cells(table, METHOD, "val_delta_m")["cell_key"].tolist() == ["a"]
    assert select_learning_rates(trials(val_delta_m=np.nan)).empty


def test_eligible_cells_have_the_columns_of_ranked_ones_without_the_note_that_all_are_done() -> None:
    cells = eligible_cells(trials(outcome=["done", "done", "done", "pruned"]), METHOD, "val_delta_m")
    assert cells.columns.tolist() == [*METHOD, "cell_key", "lr", "seeds", "mean"]
    assert (cells.index.tolist(), cells["cell_key"].tolist()) == ([0], ["a"])


def test_epochs_are_ordered_by_trial_and_epoch_however_they_were_recorded() -> None:
    rows = [("b", 1, 4.0), ("a", 2, 2.0), ("a", 1, 3.0)]
    curves = pd.DataFrame(rows, columns=["trial_key", "epoch", "value"]).assign(split="val", task="left", metric="loss")
    table = at_epochs(curves, [MetricName("val", "left", "loss")])
    assert table.index.tolist() == [("a", 1), ("a", 2), ("b", 1)]
    assert table["val_left_loss"].tolist() == [3.0, 2.0, 4.0]
    nothing = at_epochs(curves.head(0), [MetricName("val", "left", "loss")])
    assert (nothing.empty, nothing.columns.tolist(), nothing.index.names) == (
        True,
        ["val_left_loss"],
        ["trial_key", "epoch"],
    )


def test_each_trial_gets_its_own_figures_in_whatever_order_outcomes_are() -> None:
    outcomes = pd.DataFrame({"trial_key": ["c", "a", "b"], "outcome": ["done", "done", "diverged"]}, index=[7, 8, 9])
    measured = pd.DataFrame({"figure": [1.0, 2.0, 3.0]}, index=pd.Index(["a", "b", "c"], name="trial_key"))
    table = attach(outcomes, measured)
    assert table["trial_key"].tolist() == ["a", "b", "c"]
    assert table["figure"].fillna(-1).tolist() == [1.0, -1.0, 3.0], "what diverged has none"
