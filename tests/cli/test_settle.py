"""`mtlsweep plan --settle` names the seeds that decide open comparisons; to add them is an extension like any other."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from mtlsweep.analysis.conclusions.comparisons import compare_methods
from mtlsweep.analysis.conclusions.settling import with_seeds_to_settle
from mtlsweep.cli.main import app
from mtlsweep.params.params import load_params
from mtlsweep.params.suite import STAGES
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.sweep.control.plan_overview import read_plan
from mtlsweep.sweep.control.settle import with_further_seeds
from mtlsweep.sweep.plan.plan import open_plan
from tests.small_study import call, small_study, write

RAW = small_study(weightings=["ew", "uw", "rlw", "dwa"], seeds=[1, 0, 7])


def compare(worse: dict[str, float]) -> None:
    """Write comparisons as an analysis does, of three seeds that differ by about a point."""
    luck = {1: -1.0, 0: 0.1, 7: 0.9}
    rows = [
        {"weighting": name, "optimizer": "adam", "seed": seed, "cell_key": name,
         "test_delta_m": value + shift * (1 + 0.7 * place)}
        for place, (name, value) in enumerate(worse.items())
        for seed, shift in luck.items()
    ]  # fmt: skip
    table = with_seeds_to_settle(compare_methods(pd.DataFrame(rows)))
    write_table(Path("results/digits/analysis/comparisons.parquet"), table)


def test_the_plan_it_names_is_what_params_yaml_says_with_these_seeds(in_directory: Path) -> None:
    write(RAW)
    compare({"ew": 0.0, "uw": 9.0, "rlw": 6.0, "dwa": 0.0})
    content = json.loads(CliRunner().invoke(app, ["plan", "--settle", "--json"]).output)[0]
    steps = content["steps"]
    assert content["open"] == 3 and content["seeds_now"] == 3 and steps[-1]["decides"] == 2
    assert content["seeds"][:3] == [1, 0, 7] and len(content["seeds"]) == steps[-1]["seeds"]
    assert not Path("results/digits/plan").exists(), "a plan that is only asked about is not followed"
    before = load_params()
    more = copy.deepcopy(RAW)
    more["suites"]["digits"]["sweep"]["seeds"] = content["seeds"]
    write(more)
    assert before.with_sweep("digits", seeds=tuple(content["seeds"])) == load_params()
    assert (
        read_plan(dict.fromkeys(STAGES, load_params()), "digits")["stages"]["sweep"]
        == content["plan"]["stages"]["sweep"]
    )


def test_no_trial_is_trained_twice(in_directory: Path) -> None:
    write(RAW)
    params = load_params()
    seeds = with_further_seeds(params.suite("digits").sweep.seeds, 6)
    now, then = (
        {trial.key for trial in open_plan(one, "digits", "sweep").trials}
        for one in (params, params.with_sweep("digits", seeds=seeds))
    )
    assert now < then and len(then) == 2 * len(now)
    baselines = [
        open_plan(one, "digits", "baselines").trials for one in (params, params.with_sweep("digits", seeds=seeds))
    ]
    assert baselines[0] == baselines[1]


@pytest.mark.parametrize(
    ("present", "number", "expected"),
    [((0, 1), 4, (0, 1, 2, 3)), ((1, 0, 7), 5, (1, 0, 7, 2, 3)), ((3,), 1, (3,)), ((0, 1, 2), 2, (0, 1, 2))],
)
def test_further_seeds_stand_behind_those_that_are_there(
    present: tuple[int, ...], number: int, expected: tuple[int, ...]
) -> None:
    assert with_further_seeds(present, number) == expected


def test_it_is_said_in_words(in_directory: Path) -> None:
    write(RAW)
    compare({"ew": 0.0, "uw": 9.0, "rlw": 6.0, "dwa": 0.0})
    code, output = call("plan", "digits", "--settle")
    assert code == 0
    assert "comparisons of digits: 0 decided, 3 open with 3 seeds" in output
    assert "1 stay open: they are too small or too uncertain for up to 30 seeds" in output
    assert "in params.yaml: suites.digits.sweep.seeds: [1, 0, 7, 2, 3" in output
    assert "stl" not in output and "trials to run" in output


def test_where_nothing_can_be_promised_no_seeds_are_asked_for(in_directory: Path) -> None:
    write(RAW)
    compare({"ew": 0.0, "uw": 0.1, "rlw": 0.0, "dwa": 0.05})
    code, output = call("plan", "--settle")
    assert code == 0 and "no further seeds are asked for" in output and "params.yaml" not in output


def test_a_suite_without_an_analysis_says_how_to_make_it(in_directory: Path) -> None:
    write(RAW)
    code, output = call("plan", "--settle")
    assert code == 2 and "comparisons.parquet` is missing; run `dvc repro`" in output
