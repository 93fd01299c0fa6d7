"""What the referee finds: verdicts from trials, the stages that it plans, and its section of the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params, parse_params
from mtlsweep.params.suite import Method
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.report.figures.figure import Figure
from mtlsweep.report.tables.table import Table
from mtlsweep.studies.referee.attained import INSIDE, OUTSIDE, UNDECIDED
from mtlsweep.studies.referee.section import read, referee_section
from mtlsweep.studies.referee.sweeps import FIRST, REFINED, later, scalar, stages, with_methods, write_refined
from mtlsweep.studies.referee.verdicts import judge
from tests.reporting.hand_made import drawn, title
from tests.small_study import small_study

NAN = float("nan")
TASKS = ("left", "mass")
FIXED = {"ew": [1.0, 1.0], "scalar(left=1.9)": [1.9, 0.1], "scalar(left=0.1)": [0.1, 1.9]}


def trials_of(
    weighting: str,
    optimizer: str,
    *results: float,
    lr: float = 0.1,
    val: float = 0.0,
    seeds: int = 4,
    stage: str = "sweep",
) -> pd.DataFrame:
    """Return the trials of a cell: Δm of each task, nearly the same with every seed."""
    noise = 1e-3 * np.random.default_rng(len(weighting)).normal(size=(seeds, len(results)))
    figures = pd.DataFrame(
        np.array(results) + noise,
        columns=[f"test_delta_m_{task}" for task in ("left", "mass", "c", "d")[: len(results)]],
    )
    cell = f"{weighting} {optimizer} {lr}"
    return figures.assign(
        weighting=weighting, optimizer=optimizer, lr=lr, cell_key=cell, seed=range(seeds), outcome="done", stage=stage,
        trial_key=[f"{cell} {seed}" for seed in range(seeds)], val_delta_m=val, test_delta_m=figures.mean(axis=1),
    )  # fmt: skip


def fixed_weights(optimizer: str = "adam") -> list[pd.DataFrame]:
    reached = {"ew": (3.0, 3.0), "scalar(left=1.9)": (0.0, 6.0), "scalar(left=0.1)": (6.0, 0.0)}
    return [
        trials_of(label, optimizer, *both, val=sum(both), stage="sweep" if label == "ew" else FIRST)
        for label, both in reached.items()
    ]


# Verdicts


def test_a_weighting_is_judged_by_the_fixed_weights_of_its_optimizer() -> None:
    table = pd.concat([
        *fixed_weights(),
        trials_of("cagrad", "adam", 0.0, 0.0),
        trials_of("uw", "adam", 5.0, 5.0),
        trials_of("uw", "sgd", 5.0, 5.0),  # nothing to compare with
        *fixed_weights("lion"),  # nothing to judge
    ])  # fmt: skip
    verdicts, fixed, surfaces = judge(table, TASKS, 1.0, FIXED)
    found = verdicts.set_index("weighting")
    assert found["verdict"].to_dict() == {"cagrad": OUTSIDE, "uw": INSIDE}
    assert found.loc["cagrad", "lead"] == pytest.approx(3.0, abs=0.01) and found.loc["cagrad", "nearest"] == "ew"
    assert 2.9 < found.loc["cagrad", "low"] < found.loc["cagrad", "lead"] < found.loc["cagrad", "high"] < 3.1
    assert set(verdicts["optimizer"]) == {"adam"} and set(fixed["optimizer"]) == {"adam", "lion"}
    own = fixed[fixed["optimizer"] == "adam"].set_index("weighting")
    assert own[["weight_left", "weight_mass"]].T.to_dict("list") == FIXED
    assert own["stage"].to_dict() == {"ew": "sweep", "scalar(left=1.9)": FIRST, "scalar(left=0.1)": FIRST}
    assert set(surfaces["optimizer"]) == {"adam", "lion"} and set(zip(surfaces["x"], surfaces["y"], strict=True)) == {
        TASKS
    }


def test_each_side_shows_the_cell_that_validation_selects_and_the_search_widens_the_bounds() -> None:
    rivals = [
        trials_of("uw", "adam", 2.0, 2.0, lr=0.1, val=1.0),
        trials_of("uw", "adam", 9.0, 9.0, lr=0.01, val=2.0),
    ]
    sure, _, _ = judge(pd.concat([*fixed_weights(), *rivals]), TASKS, 1.0, FIXED)
    assert sure.loc[0, ["lr", "lead"]].tolist() == pytest.approx([0.1, 1.0], abs=0.01)
    close = [one.assign(val_delta_m=np.roll([0.0, 1.0, 2.0, 3.0], place)) for place, one in enumerate(rivals)]
    unsure, _, _ = judge(pd.concat([*fixed_weights(), *close]), TASKS, 1.0, FIXED)
    assert np.ptp(unsure.loc[0, ["low", "high"]]) > 10 * np.ptp(sure.loc[0, ["low", "high"]])
    assert unsure.loc[0, "verdict"] == UNDECIDED


def test_what_has_no_finite_result_is_not_judged_and_weights_nobody_knows_are_blank() -> None:
    table = pd.concat([
        *fixed_weights(),
        trials_of("rlw", "adam", 1.0, float("inf")),
        trials_of("uw", "adam", 1.0, 1.0).assign(outcome=["done", "done", "done", "diverged"]),
        trials_of("gls", "adam", 1.0, 1.0, seeds=3),  # cut by a race: not every seed
        trials_of("imtl", "adam", 1.0, 1.0),
    ])  # fmt: skip
    verdicts, fixed, _ = judge(table, TASKS, 1.0, {"ew": [1.0, 1.0]})
    assert verdicts["weighting"].tolist() == ["imtl"]
    assert fixed.set_index("weighting")["weight_mass"].isna().to_dict() == {label: label != "ew" for label in FIXED}


def test_without_fixed_weights_or_without_weightings_tables_are_empty_and_have_their_columns() -> None:
    verdicts, fixed, surfaces = judge(trials_of("uw", "adam", 1.0, 1.0), TASKS, 1.0, FIXED)
    assert (len(verdicts), len(fixed), len(surfaces)) == (0, 0, 0)
    assert {"lead", "verdict", "test_delta_m_mass"} <= set(verdicts) and {"stage", "weight_left"} <= set(fixed)
    verdicts, fixed, _ = judge(pd.concat(fixed_weights()), TASKS, 1.0, FIXED)
    assert (len(verdicts), len(fixed)) == (0, 3)


def test_one_seed_has_no_bounds_and_surfaces_are_those_of_at_most_three_tasks() -> None:
    table = pd.concat([
        trials_of("ew", "adam", 1.0, 2.0, 3.0, 4.0, seeds=1),
        trials_of("uw", "adam", 0.0, 0.0, 0.0, 0.0, seeds=1),
    ])  # fmt: skip
    verdicts, _, surfaces = judge(table, ("left", "mass", "c", "d"), 1.0, {})
    assert verdicts.loc[0, "verdict"] == UNDECIDED and verdicts.loc[0, ["low", "high"]].isna().all()
    pairs = list(dict.fromkeys(zip(surfaces["x"], surfaces["y"], strict=True)))
    assert pairs == [("left", "mass"), ("left", "c"), ("mass", "c")]


# The section


def judged(seeds: int = 4) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the tables of cagrad, which is outside, and uw, which is inside."""
    table = [
        *fixed_weights(),
        trials_of("cagrad", "adam", 0.5, 0.5, val=1.0),
        trials_of("uw", "adam", 5.0, 5.0, val=9.0),
    ]
    every = pd.concat(table)
    return judge(every[every["seed"] < seeds], TASKS, 1.0, FIXED)


ABOUT = {"tasks": list(TASKS), "margin": 1.0}


def parts(seeds: int = 4, compute: float | None = None) -> tuple[tuple[str, ...], dict[str, Table], dict[str, Figure]]:
    section = referee_section(*judged(seeds), ABOUT, compute)
    assert section is not None
    return section.sentences, {one.name: one for one in section.tables}, {one.name: one for one in section.figures}


def test_the_sentences_answer_the_question_and_say_how_it_was_decided_and_what_it_cost() -> None:
    outside, chosen, method = parts(compute=1.46)[0]
    assert outside == (
        "With adam cagrad (by 2.5 points in some task, at least 2.5) is outside of what 3 fixed weights attain; of the other "
        "1 weightings 1 are inside and 0 undecided."
    )
    assert chosen == (
        "Chosen on validation, the best weighting (cagrad) has a test Δm of +0.50 %, the best fixed weights +3.00 %, equal weights "
        "+3.00 %."
    )
    assert (
        "at most 1 points of Δm worse in every task" in method and "undecided ones need more seeds (now 4)." in method
    )
    assert method.endswith("Training them took 1.5 times the seconds of the sweep's trials.")


def test_one_seed_decides_nothing_and_the_section_says_why() -> None:
    first, _, method = parts(seeds=1)[0]
    assert first.endswith(
        "none of 2 weightings is shown to be better than 3 fixed weights: 0 inside of what these attain, 2 undecided."
    )
    assert method.endswith("A single seed shows no noise, so nothing can be decided.")


def test_tables_have_the_largest_lead_and_the_best_fixed_weights_first() -> None:
    _, tables, _ = parts()
    verdicts = [[cell.text for cell in row] for row in tables["verdicts"].rows]
    assert [row[0] for row in verdicts] == ["cagrad", "uw"] and [row[4] for row in verdicts] == ["+2.50", "-2.00"]
    assert [row[-2:] for row in verdicts] == [[OUTSIDE, "ew"], [INSIDE, "ew"]]
    fixed = tables["fixed_weights"]
    assert [column.heading for column in fixed.columns][1:3] == ["weight of left", "weight of mass"]
    assert {row[5].text for row in fixed.rows} == {"+3.00"} and len(fixed.rows) == 3


def test_leads_are_drawn_with_bounds_that_end_where_the_panel_does() -> None:
    _, _, figures = parts()
    (spec,) = figures["leads"].specifications
    rows = drawn(spec, "lead")
    assert rows["weighting"].tolist() == ["cagrad", "uw"] and title(spec) == "adam"
    assert drawn(spec, "margin")["margin"].tolist() == [1.0]
    assert figures["leads"].seen == "1 inside, 1 outside. Leads in points: cagrad +2.5, uw -2.0."
    alone = drawn(parts(seeds=1)[2]["leads"].specifications[0], "lead")
    reach = 4 * alone["lead"].abs().max()
    assert alone["low"].tolist() == [-reach, -reach] and alone["high"].tolist() == [reach, reach]


def test_weightings_stand_on_the_surface_of_the_fixed_weights_two_tasks_at_a_time() -> None:
    _, _, figures = parts()
    (spec,) = figures["attained"].specifications
    line, grey, points = spec["layer"]
    assert (points["encoding"]["x"]["title"], points["encoding"]["y"]["title"]) == ("left, Δm %", "mass, Δm %")
    named = {name: pd.DataFrame(rows) for name, rows in spec["datasets"].items()}
    weightings, reference, stairs = (named[layer["data"]["name"]] for layer in (points, grey, line))
    assert weightings["weighting"].tolist() == ["cagrad", "uw"] and len(reference) == 3
    assert set(stairs["level"]) == {"half of the seeds", "every seed"}
    every = stairs[stairs["level"] == "every seed"].sort_values("step")
    assert every["x"].is_monotonic_increasing and every["y"].is_monotonic_decreasing
    assert "left, Δm in percent: cagrad 0.5, uw 5.0." in figures["attained"].seen


def write_study(directory: Path, **about: Any) -> None:
    """Write what the study leaves, and the sweep's costs beside it."""
    for name, table in zip(("verdicts", "fixed_weights", "surfaces"), judged(), strict=True):
        write_table(directory / "referee" / f"{name}.parquet", table)
    write_table(directory / "referee" / "trials.parquet", pd.DataFrame({"trial_key": ["swept", "own"]}))
    (directory / "referee" / "about.json").write_text(json.dumps(about))
    write_table(
        directory / "costs.parquet",
        pd.DataFrame({"trial_key": ["swept", "own", "alone"], "seconds": [20.0, 30.0, 9.0]}),
    )
    write_table(directory / "trials.parquet", pd.DataFrame({"trial_key": ["swept", "alone"], "role": ["mtl", "stl"]}))


def test_the_section_is_read_from_the_studys_files_and_counts_trials_that_the_sweep_had_once(tmp_path: Path) -> None:
    write_study(tmp_path, **ABOUT)
    section = read(tmp_path / "referee")
    assert section is not None and section.sentences[-1].endswith("took 1.5 times the seconds of the sweep's trials.")
    (tmp_path / "costs.parquet").unlink()
    section = read(tmp_path / "referee")
    assert section is not None and "Training them took" not in section.sentences[-1]


def test_a_study_that_was_off_or_judged_nothing_has_no_section_and_a_lost_file_is_named(tmp_path: Path) -> None:
    write_study(tmp_path)
    assert read(tmp_path / "referee") is None
    write_study(tmp_path, **ABOUT)
    verdicts = judged()[0]
    write_table(tmp_path / "referee" / "verdicts.parquet", verdicts[:0])
    assert read(tmp_path / "referee") is None
    (tmp_path / "referee" / "verdicts.parquet").unlink()
    with pytest.raises(UserError, match=r"referee/verdicts\.parquet` is missing; run `dvc repro`"):
        read(tmp_path / "referee")


# Its stages


def params_of(sweep: dict[str, Any], **section: Any) -> Params:
    raw = small_study(**sweep)
    raw["suites"]["digits"]["studies"] = {"referee": {"enabled": True, **section}}
    return parse_params(raw)


def weights_of(params: Params, suite: str) -> list[Sequence[float]]:
    return [list(method.weighting.options.values()) for method in params.suite(suite).sweep.methods]


def test_the_second_stage_is_announced_until_its_weights_are_known(in_directory: Path) -> None:
    params, suite = params_of({}, weights=4, refined=3), "digits"
    assert list(stages(params, suite)) == [FIRST]
    (words,) = later(params, suite)
    assert (
        words.startswith(f"{REFINED}: up to 3 more fixed weights for each of") and "about 75% of the cost of" in words
    )
    (optimizer, *_) = params.suite(suite).sweep.optimizers
    names = list(stages(params, suite)[FIRST].suite(suite).sweep.methods[-1].weighting.options)
    chosen = [Method(weighting=scalar(names, [1.5, *[0.5] * (len(names) - 1)]), optimizer=optimizer)]
    write_refined(params, suite, chosen)
    assert weights_of(stages(params, suite)[REFINED], suite) == [[1.5, *[0.5] * (len(names) - 1)]]
    assert later(params, suite) == []
    other = params_of({"seeds": [7, 8]}, weights=4, refined=3)
    assert list(stages(other, suite)) == [FIRST], "weights found with other seeds are not those of these"
    assert later(params_of({}, weights=4, refined=0), suite) == []


def test_fixed_weights_have_no_options_to_tune_so_their_settings_are_those_of_the_other_axes(
    in_directory: Path,
) -> None:
    params = params_of({
        "strategy": "grid", "weightings": ["cagrad"], "optimizers": ["adam"], "learning_rates": [0.1, 0.01],
        "learning_rates_of": {"adam": [1.0, 0.1]}, "settings": 12,
        "axes": {"weighting.c": [0.2, 0.4, 0.6, 0.8], "training.batch_size": [16, 32]},
    })  # fmt: skip
    adam = Method(weighting=Choice(name="ew"), optimizer=Choice(name="adam"))
    own = with_methods(params, "digits", [adam]).suite("digits").sweep
    assert own.weightings == () and own.methods == (adam,)
    assert list(own.axes) == ["training.batch_size"] and own.settings == 2 * 2
