"""Figures over settings, epochs and compute: which rows they draw, in which order, and what they say is seen."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mtlsweep.analysis.objectives import Objective
from mtlsweep.report.figures import axes, cost, learning
from mtlsweep.report.style import COLOURS
from tests.reporting.hand_made import drawn, hand_made, title

NAN = float("nan")


# Over learning rates, values of axes and epochs


def trials(*rows: tuple[str, str, float, int, float], **columns: Any) -> pd.DataFrame:
    """Return finished trials: weighting, optimizer, learning rate, seed and validation Δm."""
    table = pd.DataFrame(rows, columns=["weighting", "optimizer", "lr", "seed", "val_delta_m"])
    cells = table["weighting"] + table["optimizer"] + table["lr"].astype(str)
    return table.assign(role="mtl", outcome="done", cell_key=cells, **columns)


def test_each_rate_is_drawn_with_its_mean_and_its_spread_over_seeds() -> None:
    table = trials(
        ("ew", "sgd", 0.1, 0, 8.0), ("ew", "sgd", 0.1, 1, 10.0), ("ew", "adam", 0.1, 0, 4.0), ("ew", "adam", 0.01, 0, 5.0),
        ("uw", "adam", 0.1, 0, 6.0), ("uw", "adam", 0.01, 0, float("inf")),
    )  # fmt: skip
    table.loc[len(table)] = {**table.loc[0], "outcome": "diverged", "lr": 1.0, "val_delta_m": 99.0}
    figure = learning.learning_rates(hand_made(trials=table))
    assert figure is not None and figure.legend == ("adam", "sgd")
    assert [title(spec) for spec in figure.specifications] == ["ew", "uw"]
    rows = drawn(figure.specifications[0], "mean").set_index(["optimizer", "lr"])
    assert rows.loc[("sgd", 0.1), ["mean", "min", "max", "count"]].tolist() == [9.0, 8.0, 10.0, 2]
    assert sorted(rows.index.get_level_values("lr").unique()) == [0.01, 0.1], "where all diverged there is no point"
    band, _ = figure.specifications[0]["layer"]
    assert band["encoding"]["y"]["scale"]["reverse"] is True and band["encoding"]["y2"]["field"] == "max"
    assert figure.seen == (
        "Lowest mean of validation Δm in percent: adam 4.0 to 6.0, sgd 9.0; at learning rates adam 0.1, sgd 0.1."
    )
    assert "Lines leave the panel" not in figure.caption and "Other axes" not in figure.caption


def test_of_tuned_values_the_best_at_each_rate_is_drawn_and_lines_far_off_leave_the_panel() -> None:
    steps = tuple(("ew", "adam", 10.0**-place, 0, 5.0 + place) for place in range(4))
    table = pd.concat([
        trials(*steps, ("ew", "adam", 9.0, 0, 500.0), **{"network.dropout": "0"}),
        trials(*((*row[:4], 50.0) for row in steps), **{"network.dropout": "0.5"}).assign(cell_key="worse"),
    ])  # fmt: skip
    figure = learning.learning_rates(hand_made(trials=table))
    assert figure is not None
    assert drawn(figure.specifications[0], "mean")["mean"].tolist() == [8.0, 7.0, 6.0, 5.0, 500.0]
    assert "Other axes have their best values." in figure.caption
    assert figure.caption.endswith("Lines leave the panel where Δm exceeds 11 %.")


def test_without_validation_figures_there_are_no_rates_to_draw() -> None:
    one = trials(("ew", "adam", 0.1, 0, NAN))
    for table in (one, one.drop(columns="val_delta_m"), one.assign(outcome="failed")):
        assert learning.learning_rates(hand_made(trials=table)) is None


def test_tuned_values_are_drawn_in_the_order_of_their_size_with_everything_else_at_its_best() -> None:
    levels = {"auto": 1.0, "10": 2.0, "9": 3.0}
    table = pd.concat([
        trials(("ew", "adam", rate, 0, level + rate), ("ew", "sgd", rate, 0, 9.0)).assign(
            cell_key=lambda rows, value=value: rows["cell_key"] + value, **{"network.width": value}
        )
        for value, level in levels.items()
        for rate in (0.1, 0.5)
    ])  # fmt: skip
    figure = axes.tuned_values(hand_made(trials=table))
    assert figure is not None
    (spec,) = figure.specifications
    assert spec["encoding"]["x"]["sort"] == ["9", "10", "auto"] and spec["encoding"]["x"]["title"] == "network.width"
    rows = drawn(spec, "value")
    assert rows[rows["optimizer"] == "adam"].set_index("value")["val_delta_m"].to_dict() == {
        "10": 2.1,
        "9": 3.1,
        "auto": 1.1,
    }
    assert (
        figure.seen == "Best validation Δm in percent by network.width: 9 3.1 to 9.0, 10 2.1 to 9.0, auto 1.1 to 9.0."
    )
    assert axes.tuned_values(hand_made(trials=trials(("ew", "adam", 0.1, 0, 1.0)))) is None


def curves(quantity: str, tasks: tuple[str, ...], optimizers: tuple[str, ...], epochs: int = 2) -> pd.DataFrame:
    """Return curves of ew over epochs: the mean of task number n rises by n."""
    columns = ["weighting", "optimizer", "epoch", "quantity", "task", "mean", "std"]
    rows = [
        ("ew", optimizer, epoch, quantity, task, float(place * (epoch - 1) + 1), NAN)
        for optimizer in optimizers
        for place, task in enumerate(tasks)
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows, columns=columns)


def test_curves_have_a_band_of_one_deviation_and_need_two_epochs() -> None:
    table = curves("delta_m", ("",), ("sgd", "adam"), epochs=3)
    table.loc[0, "std"] = 0.25
    figure = learning.learning_curves(hand_made(learning_curves=table))
    assert figure is not None and figure.legend == ("adam", "sgd")
    rows = drawn(figure.specifications[0], "low")
    assert rows.loc[0, ["low", "high"]].tolist() == [0.75, 1.25]
    assert rows.loc[1, ["low", "high"]].tolist() == [1.0, 1.0], "one seed has no spread"
    assert "over epochs" in figure.caption
    for nothing in (table[table["epoch"] == 1], table.assign(quantity="weight"), table[:0]):
        assert learning.learning_curves(hand_made(learning_curves=nothing)) is None


def test_weights_are_a_line_per_task_and_a_pattern_per_optimizer() -> None:
    table = curves("weight", ("left", "right", "mass"), ("sgd", "adam"))
    figure = learning.weights(hand_made(learning_curves=table))
    assert figure is not None and figure.legend == ("left", "right", "mass")
    (spec,) = figure.specifications
    assert title(spec) == "ew" and spec["encoding"]["strokeDash"]["scale"]["domain"] == ["adam", "sgd"]
    assert "colour is the task, adam solid, sgd dashed." in figure.caption
    assert figure.seen == (
        "Mean weights over epochs, from lowest to highest: left 1.00, right 1.00 to 2.00, mass 1.00 to 3.00."
    )
    assert learning.weights(hand_made(learning_curves=table[table["epoch"] == 1])) is None


def test_many_optimizers_have_panels_of_their_own_and_of_many_tasks_those_are_drawn_whose_weights_move() -> None:
    names = tuple(f"t{place:02d}" for place in range(COLOURS + 2))
    objectives = tuple(Objective(name, "accuracy", higher_is_better=True) for name in names)
    optimizers = ("adam", "sgd", "signsgd", "lion", "muon")
    figure = learning.weights(hand_made(learning_curves=curves("weight", names, optimizers), objectives=objectives))
    assert figure is not None and figure.legend == names[2:], "the first two move least"
    assert [title(spec) for spec in figure.specifications] == [f"ew, {name}" for name in sorted(optimizers)]
    assert "strokeDash" not in figure.specifications[0]["encoding"]
    assert figure.caption.endswith(f"a panel per method. Of 14 tasks the {COLOURS} whose weights move most.")


# Compute


def test_compute_runs_over_the_trials_of_an_optimizer_in_the_order_of_their_end() -> None:
    table = trials(("ew", "adam", 0.1, 0, 1.0), ("ew", "adam", 0.1, 1, 1.0), ("ew", "sgd", 0.1, 0, 1.0)).assign(
        trial_key=["late", "early", "other"], test_left_accuracy=[0.9, 0.5, 0.7], test_mass_mae=[0.1, 0.3, 0.2]
    )  # fmt: skip
    begun = pd.to_datetime(["2026-01-01 00:01", "2026-01-01 00:00", "2026-01-01 00:00"])
    costs = pd.DataFrame({"trial_key": ["late", "early", "other"], "seconds": [120.0, 60.0, 30.0], "started": begun})
    axes_of_fronts = {"reference_point": pd.DataFrame({"objective": ["left_accuracy", "mass_mae"]})}
    figure = cost.hypervolume_against_compute(hand_made(trials=table, **axes_of_fronts), costs)
    assert figure is not None
    rows = drawn(figure.specifications[0], "hypervolume").sort_values(["optimizer", "runs"])
    assert rows["optimizer"].tolist() == ["adam", "adam", "sgd"] and rows["compute"].tolist() == [1.0, 3.0, 0.5]
    growth = rows["hypervolume"].tolist()
    assert growth[0] < growth[1] and figure.specifications[0]["encoding"]["x"]["title"] == "minutes of trials finished"
    assert figure.seen.endswith("of the box, after adam 3, sgd 0.5 minutes.")
    assert cost.hypervolume_against_compute(hand_made(trials=table, **axes_of_fronts), None) is None
    assert cost.hypervolume_against_compute(hand_made(trials=table, **axes_of_fronts), costs[:1]) is None
    failed = hand_made(trials=table.assign(outcome="failed"), **axes_of_fronts)
    assert cost.hypervolume_against_compute(failed, costs) is None


def test_importance_names_the_shares_of_the_variance_largest_first() -> None:
    table = pd.DataFrame({
        "hyperparameter": ["lr", "optimizer", "lr"], "target": ["all tasks", "all tasks", "left"], "importance": [0.3, 0.6, 0.9],
    })  # fmt: skip
    figure = cost.importance(table)
    assert figure is not None and figure.specifications[0]["encoding"]["yOffset"]["sort"] == ["all tasks", "left"]
    assert figure.seen == "Of the variance of all tasks: optimizer 60%, lr 30%."
    assert cost.importance(None) is None and cost.importance(table[:0]) is None
