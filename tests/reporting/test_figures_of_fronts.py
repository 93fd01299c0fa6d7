"""Figures of runs: where the best is, which runs are full, what is left out and said so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.fronts.attainment import attainment_differences, attainment_surfaces
from mtlsweep.analysis.fronts.pareto_counts import pareto_members
from mtlsweep.analysis.objectives import counted
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.figures import fronts
from mtlsweep.report.style import COLOURS
from mtlsweep.testing.simulated_sweep import OBJECTIVES
from tests.reporting.hand_made import drawn, hand_made, title

AXES = counted(OBJECTIVES)

FOUR = [
    ("adam", 0, 0.9, 0.8, 0.2),
    ("adam", 1, 0.8, 0.9, 0.3),
    ("sgd", 0, 0.7, 0.7, 0.4),
    ("sgd", 1, 0.5, 0.6, 0.5),
]
"""Optimizer, seed, accuracies of left and right, error of mass: both runs of adam are Pareto-optimal."""


def runs(rows: list[tuple[str, int, float, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(
        rows, columns=["optimizer", "seed", "test_left_accuracy", "test_right_accuracy", "test_mass_mae"]
    )
    keys = [f"run {place}" for place in range(len(table))]
    return table.assign(
        trial_key=keys, cell_key=table["optimizer"], weighting="ew", lr=0.1, role="mtl", outcome="done",
        test_mass_r2=0.9 - table["test_mass_mae"], test_delta_m=100 * table["test_mass_mae"],
    )  # fmt: skip


def analysis_of(every: pd.DataFrame, selected: pd.DataFrame | None = None) -> SuiteAnalysis:
    """Return the tables of fronts; `selected` are the runs of the selected cells, all if None."""
    chosen = every if selected is None else selected
    return hand_made(
        trials=every,
        members=pareto_members(chosen, AXES),
        raw_members=pareto_members(every, AXES),
        attainment=attainment_surfaces(chosen, OBJECTIVES),
        raw_attainment=attainment_surfaces(every, OBJECTIVES),
        attainment_differences=attainment_differences(chosen, OBJECTIVES),
        raw_attainment_differences=attainment_differences(every, OBJECTIVES),
        reference_point=pd.DataFrame({"objective": [objective.name for objective in AXES]}),
    )


def test_parallel_coordinates_have_the_best_value_of_each_metric_on_top() -> None:
    figure = fronts.parallel_coordinates(analysis_of(runs(FOUR)))
    assert figure is not None
    (spec,) = figure.specifications
    rows = drawn(spec, "position").set_index(["metric", "trial_key"])
    assert rows.loc[("left accuracy", "run 0"), "position"] == rows.loc[("mass mae", "run 0"), "position"] == 1.0
    assert rows.loc[("left accuracy", "run 3"), "position"] == rows.loc[("mass mae", "run 3"), "position"] == 0.0
    faint, strong = spec["layer"]
    assert strong["transform"] == [{"filter": "datum.full"}] and faint["transform"] == [{"filter": "!datum.full"}]
    assert rows.loc["left accuracy", "full"].tolist() == [True, True, False, False]
    assert figure.seen == (
        "4 runs over left accuracy, right accuracy, mass mae; Pareto-optimal: adam 2 of 2, sgd 0 of 2."
    )
    assert "over the 3 metrics that count in Δm" in figure.caption and "is drawn." not in figure.caption


def test_a_metric_that_is_the_same_or_missing_everywhere_has_a_place_too() -> None:
    nan = float("nan")
    table = runs([("adam", 0, 0.5, 0.5, nan), ("adam", 1, 0.5, 0.9, nan)])
    figure = fronts.parallel_coordinates(analysis_of(table))
    assert figure is not None
    rows = drawn(figure.specifications[0], "position").set_index("metric")
    assert rows.loc["left accuracy", "position"].tolist() == [0.0, 0.0]
    assert rows.loc["mass mae", "position"].isna().all()


def test_many_dominated_runs_are_thinned_and_no_optimal_one_is() -> None:
    generator = np.random.default_rng(0)
    behind = [("sgd", seed, *generator.uniform(0.1, 0.4, 2), 0.5) for seed in range(3001)]
    table = runs([*behind, ("adam", 0, 0.9, 0.9, 0.1)])
    analysis = hand_made(
        trials=table, raw_members=pareto_members(table, AXES),
        reference_point=pd.DataFrame({"objective": [objective.name for objective in AXES]}),
    )  # fmt: skip
    figure = fronts.parallel_coordinates(analysis)
    assert figure is not None and figure.caption.endswith("Of 3001 dominated runs one in 3 is drawn.")
    assert figure.seen.startswith("1002 runs over") and "adam 1 of 1" in figure.seen


def test_two_metrics_at_a_time_the_better_side_is_up_and_right_and_surfaces_reach_the_edges() -> None:
    figure = fronts.pairwise_fronts(analysis_of(runs(FOUR)))
    assert figure is not None and figure.name == "fronts" and figure.legend == ("adam", "sgd")
    titles = [
        (spec["layer"][0]["encoding"]["x"]["title"], spec["layer"][0]["encoding"]["y"]["title"])
        for spec in figure.specifications
    ]
    left, right, mass = (
        "left accuracy (higher is better)",
        "right accuracy (higher is better)",
        "mass mae (lower is better)",
    )
    assert titles == [(left, right), (left, mass), (right, mass)]
    points, lines = figure.specifications[1]["layer"]
    assert points["encoding"]["x"]["scale"]["reverse"] is False and points["encoding"]["y"]["scale"]["reverse"] is True
    rows = drawn(figure.specifications[1], "full")
    assert rows["full"].tolist() == [True, True, False, False] and rows["y"].tolist() == [0.2, 0.3, 0.4, 0.5]
    stairs = drawn(figure.specifications[1], "step")
    every = stairs[(stairs["optimizer"] == "adam") & (stairs["level"] == "every seed")]
    (low, _), (_, high) = points["encoding"]["x"]["scale"]["domain"], points["encoding"]["y"]["scale"]["domain"]
    assert every[["x", "y"]].to_numpy().tolist() == [[0.8, high], [0.8, 0.3], [low, 0.3]], (
        "both seeds attain 0.8 and 0.3"
    )
    assert lines["encoding"]["strokeDash"]["field"] == "level"
    assert figure.seen == (
        "4 runs; Pareto-optimal: adam 2 of 2, sgd 0 of 2. From worst to best: left accuracy 0.5 to 0.9, right accuracy 0.6 to "
        "0.9, mass mae 0.5 to 0.2, mass r2 0.4 to 0.7."
    )
    assert figure.caption.startswith("Runs of the selected cells on two test metrics at a time")


def test_all_runs_are_drawn_as_well_where_there_are_others_than_the_selected_ones() -> None:
    every = runs(FOUR)
    both = analysis_of(every, selected=every[:3])
    raw, own = fronts.pairwise_fronts(both, raw=True), fronts.pairwise_fronts(both)
    assert raw is not None and own is not None
    assert (raw.name, raw.caption.split(" (")[0], raw.seen.split(";")[0]) == (
        "raw_fronts",
        "All finished runs",
        "4 runs",
    )
    assert own.seen.startswith("3 runs;")
    ahead = fronts.attainment_differences(both, raw=True)
    assert ahead is not None and ahead.name == "raw_attainment_differences"
    alone = analysis_of(every)
    assert fronts.pairwise_fronts(alone, raw=True) is None and fronts.attainment_differences(alone, raw=True) is None


def test_where_one_optimizer_attains_more_it_has_the_colour_and_the_share_of_seeds_the_strength() -> None:
    figure = fronts.attainment_differences(analysis_of(runs(FOUR)))
    assert figure is not None
    assert [title(spec) for spec in figure.specifications] == ["adam against sgd"] * 3
    rows = drawn(figure.specifications[0], "share")
    assert set(rows["optimizer"]) == {"adam"} and set(rows["share"]) == {0.5, 1.0}, "no run of sgd is ahead anywhere"
    assert figure.seen == "Share of seeds by which one is ahead, over all goals: adam ahead of sgd 50% to 100%."


def test_runs_that_nobody_can_compare_make_no_front() -> None:
    nan = float("nan")
    nothing = analysis_of(runs([("adam", 0, nan, nan, nan), ("sgd", 0, nan, nan, nan)]))
    assert fronts.pairwise_fronts(nothing) is None and fronts.attainment_differences(nothing) is None
    assert fronts.parallel_coordinates(analysis_of(runs(FOUR)[:0])) is None


def test_one_value_everywhere_has_room_around_it() -> None:
    figure = fronts.pairwise_fronts(analysis_of(runs([("adam", 0, 0.5, 0.8, 0.0)])))
    assert figure is not None
    domains = [spec["layer"][0]["encoding"]["x"]["scale"]["domain"] for spec in figure.specifications]
    assert domains[0] == pytest.approx([0.475, 0.525]) and domains[2] == pytest.approx([0.76, 0.84])


def test_lines_of_more_optimizers_than_colours_are_left_out_and_the_caption_says_so() -> None:
    many = [(f"adam {place:02d}", 0, 0.5 + place / 100, 0.9 - place / 100, 0.2) for place in range(COLOURS + 1)]
    table = runs(many)
    analysis = hand_made(
        trials=table, members=pareto_members(table, AXES), raw_members=pareto_members(table, AXES),
        attainment=attainment_surfaces(table, OBJECTIVES),
        reference_point=pd.DataFrame({"objective": [objective.name for objective in AXES]}),
    )  # fmt: skip
    figure = fronts.pairwise_fronts(analysis)
    assert figure is not None and "Lines of what seeds attain are left out" in figure.caption
    assert all(spec["mark"]["type"] == "point" for spec in figure.specifications)
    assert fronts.attainment_differences(analysis) is None
