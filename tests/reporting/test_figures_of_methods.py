"""Figures of methods: which rows they draw, in which order, on which axis, and what they say is seen."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from mtlsweep.report.figures import methods
from mtlsweep.report.figures.figure import Figure, render
from mtlsweep.report.figures.overview import MOST_METHODS, overview
from tests.reporting.hand_made import drawn, hand_made, title

NAN = float("nan")


# The first screen


def results(*rows: tuple[str, str, float], spread: float = 0.5, search: float = NAN) -> pd.DataFrame:
    """Return the table of results of (weighting, optimizer, test Δm), as if best on validation first."""
    table = pd.DataFrame(rows, columns=["weighting", "optimizer", "test_delta_m_mean"])
    mean = table["test_delta_m_mean"]
    ends = {"test_delta_m_low": mean - spread, "test_delta_m_high": mean + spread}
    ends |= {"test_delta_m_search_low": mean - search, "test_delta_m_search_high": mean + search}
    table = table.assign(**ends, test_delta_m_std=spread, seeds=3, lr=[10.0**-place for place in range(len(table))])
    return table.assign(cell_key=[f"cell {place}" for place in range(len(table))])


def first_screen(table: pd.DataFrame, optimal: tuple[str, ...] = ()) -> Figure:
    """Draw the overview of results, of which these cells have a Pareto-optimal run."""
    trials = pd.DataFrame({"trial_key": table["cell_key"] + " 0", "cell_key": table["cell_key"]})
    members = trials[["trial_key"]].assign(full=table["cell_key"].isin(optimal))
    figure = overview(hand_made(results=table, trials=trials, members=members))
    assert figure is not None
    return figure


THREE = (("uw", "adam", 5.0), ("ew", "sgd", -2.0), ("ew", "adam", 7.0))


def test_methods_stand_as_validation_ranks_them_beside_single_task_learning_with_their_intervals() -> None:
    figure = first_screen(results(*THREE), optimal=("cell 1",))
    (spec,) = figure.specifications
    zero, rules, points, *_ = spec["layer"]
    assert drawn(spec, "zero")["zero"].tolist() == [0.0] and zero["encoding"]["x"]["field"] == "zero"
    rows = drawn(spec, "delta_m")
    assert points["encoding"]["y"]["sort"] == rows["method"].tolist() == ["uw · adam", "ew · sgd", "ew · adam"]
    assert rows["low"].tolist() == [4.5, -2.5, 6.5] and rules["encoding"]["x2"]["field"] == "high"
    assert rows["pareto"].tolist() == [False, True, False]
    low, high = points["encoding"]["x"]["scale"]["domain"]
    assert low < -2.5 and high > 7.5, "nothing is cut off"
    assert points["encoding"]["fill"] == points["encoding"]["color"]
    assert figure.seen == (
        "3 methods on an axis of test Δm in percent, single-task learning at 0. First: uw · adam at 5.0 (4.5 to 5.5). By "
        "optimizer: adam 5.0 to 7.0, sgd -2.0. With Pareto-optimal runs: ew · sgd."
    )
    assert "best on validation first" in figure.caption and "Line: 95 % interval over seeds." in figure.caption


def test_intervals_include_the_search_where_all_do_and_one_seed_has_none() -> None:
    assert "Line: 95 % interval, search included." in first_screen(results(*THREE, search=1.0)).caption
    searched = drawn(first_screen(results(*THREE, search=1.0)).specifications[0], "low")
    assert searched["low"].tolist() == [4.0, -3.0, 6.0]
    alone = first_screen(results(*THREE, spread=NAN))
    assert "One seed: no intervals." in alone.caption and "First: uw · adam at 5.0. By" in alone.seen
    assert alone.seen.endswith("With Pareto-optimal runs: none.")


def test_a_method_far_behind_is_a_figure_at_the_edge_and_does_not_flatten_the_others() -> None:
    table = results(*((f"w{place}", "adam", 5.0 + place) for place in range(4)), ("wild", "adam", 100.0))
    figure = first_screen(table)
    (spec,) = figure.specifications
    high = spec["layer"][2]["encoding"]["x"]["scale"]["domain"][1]
    assert 8.0 < high < 20.0 and figure.caption.endswith("A figure at the right edge: Δm beyond it.")
    assert spec["layer"][3]["mark"]["type"] == "text"


def test_an_interval_that_goes_on_beyond_the_edge_ends_in_an_arrow() -> None:
    table = results(*((f"w{place}", "adam", 5.0 + place) for place in range(4)))
    table.loc[3, "test_delta_m_high"] = 400.0
    figure = first_screen(table)
    (spec,) = figure.specifications
    arrow, edge = spec["layer"][4], spec["layer"][2]["encoding"]["x"]["scale"]["domain"][1]
    assert (
        arrow["mark"]["shape"] == "triangle-right" and "datum.high >" in str(arrow["transform"]) and 8.0 < edge < 400.0
    )
    assert figure.caption.endswith("Arrow: the interval goes on beyond the edge.")
    whole = first_screen(results(*THREE))
    assert "Arrow" not in whole.caption and len(whole.specifications[0]["layer"]) == 4


def test_of_many_methods_the_best_are_drawn_and_the_best_of_each_optimizer() -> None:
    many = [(f"w{place:02d}", "adam", float(place)) for place in range(24)]
    figure = first_screen(results(*many, ("ew", "sgd", 99.0)))
    rows = drawn(figure.specifications[0], "delta_m")
    assert rows["method"].tolist() == [*(f"w{place:02d} · adam" for place in range(MOST_METHODS - 1)), "ew · sgd"]
    assert f"the {MOST_METHODS} best of 25 on validation" in figure.caption


def test_two_rows_of_one_method_are_told_apart_by_their_learning_rate() -> None:
    figure = first_screen(results(("uw", "adam", 5.0), ("ew", "adam", 6.0), ("uw", "adam", 7.0)))
    names = drawn(figure.specifications[0], "delta_m")["method"].tolist()
    assert names == ["uw · adam, 1", "ew · adam", "uw · adam, 0.01"]


def test_without_a_method_there_is_no_first_picture() -> None:
    table = results(("uw", "adam", NAN))
    trials = pd.DataFrame({"trial_key": ["k"], "cell_key": ["cell 0"]})
    members = pd.DataFrame({"trial_key": ["k"], "full": [False]})
    assert overview(hand_made(results=table, trials=trials, members=members)) is None


# Between optimizers


def test_a_slope_joins_each_weighting_over_optimizers_and_leaves_out_methods_with_two_rows() -> None:
    rows = [("ew", "sgd", 9.0), ("ew", "adam", 5.0), ("uw", "adam", 6.0), ("uw", "sgd", 8.0), ("uw", "sgd", 7.0)]
    figure = methods.slope(hand_made(results=results(*rows)))
    assert figure is not None
    (spec,) = figure.specifications
    data = drawn(spec, "test_delta_m_mean")
    assert list(zip(data["weighting"], data["optimizer"], strict=True)) == [
        ("ew", "sgd"),
        ("ew", "adam"),
        ("uw", "adam"),
    ]
    encoding = spec["layer"][1]["encoding"]
    assert encoding["x"]["sort"] == ["adam", "sgd"] and encoding["y"]["scale"]["reverse"] is True
    assert figure.seen == "Lines of 2 weightings; Δm in percent: adam 5.0 to 6.0, sgd 9.0."
    assert methods.slope(hand_made(results=results(("ew", "adam", 5.0), ("uw", "adam", 6.0)))) is None


def test_leads_have_a_panel_per_pair_with_both_parts_and_their_intervals() -> None:
    row: dict[str, Any] = {"a": "adam", "b": "sgd"}
    for part, value in (("difference", -3.0), ("single_task", -1.0), ("gap", -2.0)):
        row |= {part: value, f"{part}_low": value - 0.5, f"{part}_high": value + 0.5}
    figure = methods.leads(hand_made(leads=pd.DataFrame([row, row | {"b": "signsgd"}])))
    assert figure is not None and [title(spec) for spec in figure.specifications] == [
        "adam minus sgd",
        "adam minus signsgd",
    ]
    data = drawn(figure.specifications[0], "part")
    parts = ["multi-task training", "of it single-task", "of it multi-task gap"]
    assert data["part"].tolist() == parts and data["points"].tolist() == [-3.0, -1.0, -2.0]
    assert data["low"].tolist() == [-3.5, -1.5, -2.5] and data["high"].tolist() == [-2.5, -0.5, -1.5]
    said = "multi-task training -3.0, of it single-task -1.0, of it multi-task gap -2.0."
    assert figure.seen == f"adam minus sgd: {said} adam minus signsgd: {said}"
    assert methods.leads(hand_made()) is None


def test_differences_have_a_panel_per_pair_of_optimizers_with_the_overall_row_last() -> None:
    columns = ["question", "within", "a", "b", "difference"]
    table = pd.DataFrame(
        [
            ("optimizer", "uw", "adam", "sgd", -2.0),
            ("optimizer", "ew", "adam", "sgd", -1.0),
            ("optimizer", "rlw", "adam", "sgd", NAN),  # no seed in common
            ("optimizer overall", "all weightings", "adam", "sgd", -1.5),
            ("weighting", "adam", "uw", "ew", 4.0),
            ("optimizer", "ew", "adam", "signsgd", 3.0),
        ],
        columns=columns,
    )
    numbers = {"low": table["difference"] - 1, "high": table["difference"] + 1}
    table = table.assign(**numbers, pairs=5, effect_size=0.1, p_holm=0.5, note="")
    figure = methods.differences(hand_made(comparisons=table))
    assert figure is not None and [title(spec) for spec in figure.specifications] == [
        "adam minus sgd",
        "adam minus signsgd",
    ]
    first = figure.specifications[0]
    assert first["layer"][1]["encoding"]["y"]["sort"] == ["ew", "uw", "all weightings"]
    assert sorted(drawn(first, "within")["difference"]) == [-2.0, -1.5, -1.0]
    assert figure.seen == "Differences in points over weightings: adam minus sgd -2.0 to -1.0, adam minus signsgd 3.0."
    assert methods.differences(hand_made(comparisons=table[table["question"] == "weighting"])) is None


# Files


@pytest.mark.parametrize("panels", [1, 2])
def test_a_figure_is_a_picture_of_every_kind_with_its_text_alternative(panels: int) -> None:
    rows = [{"a": "adam", "b": name, **{f"{p}{e}": -1.0 for p in ("difference", "single_task", "gap") for e in ("", "_low", "_high")}}
            for name in ("sgd", "signsgd")[:panels]]  # fmt: skip
    figure = methods.leads(hand_made(leads=pd.DataFrame(rows)))
    assert figure is not None
    files = render(figure)
    svg = files["svg"].decode()
    assert ElementTree.fromstring(svg).get("aria-label") == figure.seen
    assert all(f"adam minus {row['b']}" in svg for row in rows)
    assert files["png"].startswith(b"\x89PNG") and files["pdf"].startswith(b"%PDF-")
