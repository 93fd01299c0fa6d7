"""What a race cut: compared with the selected rate at the epoch of the cut, on curves written by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.conclusions.cuts import describe_cuts
from mtlsweep.analysis.objectives import Objective

OBJECTIVES = (Objective("left", "error", higher_is_better=False),)
BASELINES = Baselines(pd.DataFrame(), pd.DataFrame(), {"val": {"left_error": 1.0}, "test": {"left_error": 1.0}})
CURVES = {
    "winner0": [1.5, 1.3, 1.2, 1.1],
    "winner1": [1.7, 1.5, 1.2, 1.1],
    "slow": [2.0, 1.7],  # 30 points behind, gained 30 in its last epoch, two epochs were left
    "flat": [2.0, 1.9],  # 50 points behind, gained 10
    "worse": [1.5, 1.6],  # its lowest counts: 10 points behind, gained nothing
    "alone": [2.0, 1.9],
}


def trials_of(names: dict[str, tuple[str, float, int, str, str]]) -> pd.DataFrame:
    columns = ["weighting", "lr", "seed", "outcome", "cell_key"]
    table = pd.DataFrame.from_dict(names, orient="index", columns=columns).rename_axis("trial_key").reset_index()
    return table.assign(optimizer="sgd")


TRIALS = trials_of(
    {
        "winner0": ("ew", 0.1, 0, "done", "w"),
        "winner1": ("ew", 0.1, 1, "done", "w"),
        "slow": ("ew", 0.01, 0, "pruned", "s"),
        "flat": ("ew", 0.001, 0, "pruned", "f"),
        "worse": ("ew", 1.0, 0, "pruned", "x"),
        "alone": ("uw", 1.0, 0, "pruned", "a"),
    }
)
SELECTED = pd.DataFrame({"cell_key": ["w"]})


def curves_of(curves: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        (key, epoch, "val", "left", "error", value)
        for key, values in curves.items()
        for epoch, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["trial_key", "epoch", "split", "task", "metric", "value"])


def test_a_cut_rate_stands_beside_the_selected_one_at_the_epoch_of_the_cut() -> None:
    cuts = describe_cuts(curves_of(CURVES), TRIALS, SELECTED, BASELINES, OBJECTIVES).set_index("lr")
    assert list(cuts["cut_at"]) == [2, 2, 2]
    assert cuts["epochs_left"].tolist() == [2, 2, 2]
    assert cuts["val_delta_m"].to_dict() == pytest.approx({0.001: 90.0, 0.01: 70.0, 1.0: 50.0})
    assert cuts["behind"].to_dict() == pytest.approx({0.001: 50.0, 0.01: 30.0, 1.0: 10.0})
    assert cuts["last_gain"].to_dict() == pytest.approx({0.001: 10.0, 0.01: 30.0, 1.0: 0.0})
    assert cuts["may_have_won"].to_dict() == {0.001: False, 0.01: True, 1.0: False}


def test_a_method_without_a_selected_rate_has_nothing_to_compare_with() -> None:
    cuts = describe_cuts(curves_of(CURVES), TRIALS, SELECTED, BASELINES, OBJECTIVES)
    assert set(cuts["weighting"]) == {"ew"}


def test_a_grid_cuts_nothing() -> None:
    done = TRIALS[TRIALS["outcome"] == "done"]
    cuts = describe_cuts(curves_of(CURVES), done, SELECTED, BASELINES, OBJECTIVES)
    assert cuts.empty
    assert cuts["may_have_won"].dtype == bool
