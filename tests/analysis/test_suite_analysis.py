"""A whole suite, from raw tables on disk to the tables of its report."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mtlsweep.analysis.fronts.attainment import attainment_differences, attainment_surfaces
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.analysis.suite_files import analyse_directory, read_analysis
from mtlsweep.analysis.summary import summarise
from mtlsweep.errors import UserError
from mtlsweep.files import canonical_json, write_atomically
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.record.tables.schema import CURVES, OUTCOMES
from mtlsweep.testing.simulated_sweep import OBJECTIVES, SimulatedSweep, Truth, simulate_sweep

pytestmark = pytest.mark.slow


def lay_out(directory: Path, sweep: SimulatedSweep) -> None:
    """Write the raw tables as the sweep does."""
    for stage in ("baseline", "sweep"):
        folder = directory / ("baselines" if stage == "baseline" else "sweep")
        write_table(folder / "curves.parquet", getattr(sweep, f"{stage}_curves"), CURVES)
        write_table(folder / "outcomes.parquet", getattr(sweep, f"{stage}_outcomes")[OUTCOMES.names], OUTCOMES)
    write_atomically(
        directory / "sweep" / "metrics.json", canonical_json([asdict(objective) for objective in sweep.objectives])
    )


@pytest.fixture(scope="module")
def analysis() -> SuiteAnalysis:
    sweep = simulate_sweep(truth=Truth(noise=0.3))
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


Analysed = tuple[Path, SuiteAnalysis]
"""A directory, and what was found there."""


def analysed_in(directory: Path, sweep: SimulatedSweep) -> Analysed:
    lay_out(directory, sweep)
    return directory, analyse_directory(directory)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    return analysed_in(tmp_path_factory.mktemp("default"), simulate_sweep())


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    return analysed_in(tmp_path_factory.mktemp("one_seed"), simulate_sweep(seeds=1))


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    sweep = simulate_sweep()
    outcomes = sweep.sweep_outcomes.assign(outcome="diverged")
    return analysed_in(tmp_path_factory.mktemp("diverged"), replace(sweep, sweep_outcomes=outcomes))


def test_the_best_method_and_its_learning_rate_are_found(analysis: SuiteAnalysis) -> None:
    best = analysis.results.iloc[0]
    assert (best["weighting"], best["optimizer"], best["lr"]) == ("ew", "adam", 0.001)
    assert best["test_delta_m_mean"] == pytest.approx(6.0, abs=1.0)
    selected = analysis.results.groupby("optimizer")["lr"].unique().map(list).to_dict()
    assert selected == {"adam": [0.001], "sgd": [0.01], "signsgd": [0.001]}


def test_every_trial_has_one_row_and_diverged_ones_no_figures(analysis: SuiteAnalysis) -> None:
    trials = analysis.trials
    assert (
        len(trials) == 7 * 3 * 3 * 2 + 3 * 3 * 2
        and trials["trial_key"].is_monotonic_increasing
        and trials["trial_key"].is_unique
    )
    assert analysis.outcomes[["done", "diverged", "pruned", "failed"]].sum().tolist() == [112, 14, 0, 0]
    finished = trials[(trials["role"] == "mtl") & (trials["outcome"] == "done")]
    assert np.isfinite(finished["test_delta_m"]).all() and set(finished["best_epoch"]) == {4}
    assert not [column for column in trials if "second" in column or "host" in column or "start" in column]


def test_single_task_trials_are_compared_on_their_own_task_alone(analysis: SuiteAnalysis) -> None:
    left = analysis.trials[analysis.trials["task"] == "left"]
    assert left["test_delta_m_left"].notna().all() and left["test_delta_m"].isna().all()


def test_adam_dominates_where_it_was_made_to(analysis: SuiteAnalysis) -> None:
    counts = analysis.optimizer_counts.set_index("optimizer")
    assert counts.loc["sgd", "pareto_wrt_adam"] == 0 and counts.loc["adam", "pareto_full"] > 0
    volume = analysis.hypervolume.set_index("name")["hypervolume"]
    assert volume["adam"] > volume["signsgd"] > volume["sgd"]
    assert (analysis.rankings["tau"] > 0.8).all()


def raced(kept: dict[str, list[float]], noise: float = 0.3) -> SimulatedSweep:
    """A sweep in which other rates than `kept` were cut, by optimizer."""
    sweep = simulate_sweep(truth=Truth(noise=noise))
    rates = sweep.sweep_outcomes["optimizer"].map(kept)
    cut = [rate not in own for rate, own in zip(sweep.sweep_outcomes["lr"], rates, strict=True)]
    outcomes = sweep.sweep_outcomes.assign(outcome=sweep.sweep_outcomes["outcome"].mask(cut, "pruned"))
    return SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, outcomes)


def test_fronts_after_a_race_count_as_many_runs_of_each_optimizer() -> None:
    sweep = raced({"adam": [1e-3], "sgd": [1e-2, 1e-3], "signsgd": [1e-1, 1e-2, 1e-3]})
    analysis = analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, OBJECTIVES
    )
    counts, raw = (table.set_index("optimizer") for table in (analysis.optimizer_counts, analysis.raw_optimizer_counts))
    assert counts["runs"].to_dict() == {"adam": 14, "sgd": 14, "signsgd": 14}
    assert raw["runs"].to_dict() == {"adam": 14, "sgd": 28, "signsgd": 42}
    assert analysis.weighting_counts["runs"].tolist() == [6] * 7
    selected = analysis.results[["weighting", "optimizer", "lr"]]
    finished = analysis.trials.merge(analysis.members[["trial_key"]], on="trial_key")
    assert set(map(tuple, finished[["weighting", "optimizer", "lr"]].to_numpy())) == set(
        map(tuple, selected.to_numpy())
    )
    assert summarise(analysis)["pareto"]["sgd"]["runs"] == 14 and summarise(analysis)["pareto_raw"]["sgd"]["runs"] == 28


def test_attainment_after_a_race_is_over_the_runs_that_counts_are_over() -> None:
    sweep = raced({"adam": [1e-3], "sgd": [1e-2, 1e-3], "signsgd": [1e-1, 1e-2, 1e-3]}, noise=3.0)
    analysis = analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, OBJECTIVES
    )
    for prefix, members in (("", analysis.members), ("raw_", analysis.raw_members)):
        runs = analysis.trials[analysis.trials["trial_key"].isin(members["trial_key"])]
        for name, expected in (
            ("attainment", attainment_surfaces(runs, OBJECTIVES)),
            ("attainment_differences", attainment_differences(runs, OBJECTIVES)),
        ):
            pd.testing.assert_frame_equal(getattr(analysis, prefix + name), expected)
    assert not analysis.attainment.equals(analysis.raw_attainment)


def test_the_axes_of_fronts_are_the_metrics_that_count_unless_all_are_asked_for(default: Analysed) -> None:
    sweep, (_, counted) = simulate_sweep(), default
    tables = (sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes)
    everything = analyse_suite(*tables, OBJECTIVES, all_metrics=True)
    assert [objective.label for objective in counted.axes] == ["left accuracy", "right accuracy", "mass mae"]
    assert everything.axes == OBJECTIVES
    assert (counted.axes_in_words, everything.axes_in_words) == ("the 3 metrics that count in Δm", "all 4 metrics")
    one = replace(counted, reference_point=counted.reference_point.head(1))
    assert one.axes_in_words == "the one metric that counts in Δm"
    assert counted.raw_members["full"].sum() <= everything.raw_members["full"].sum()
    assert len(counted.results.columns) == len(everything.results.columns)


def test_curves_of_the_selected_methods_end_where_they_were_measured(analysis: SuiteAnalysis) -> None:
    curves = analysis.learning_curves
    last = curves[(curves["quantity"] == "delta_m") & (curves["epoch"] == 4)].set_index(["weighting", "optimizer"])[
        "mean"
    ]
    results = analysis.results.set_index(["weighting", "optimizer"])["val_delta_m_mean"]
    pd.testing.assert_series_equal(last.sort_index(), results.sort_index(), check_names=False)
    assert set(curves["quantity"]) == {"delta_m", "train_loss", "val_loss", "weight"}


def test_a_suite_in_which_everything_diverged_is_still_analysed(diverged: Analysed) -> None:
    _, analysis = diverged
    assert len(analysis.results) == 21 and analysis.results["test_delta_m_mean"].isna().all()
    assert analysis.members.empty and analysis.outcomes["diverged"].sum() == 126
    assert summarise(analysis)["outcomes"] == {"done": 0, "diverged": 126, "pruned": 0, "failed": 0}


def test_a_single_seed_is_analysed_without_intervals(one_seed: Analysed) -> None:
    _, analysis = one_seed
    assert analysis.results["test_delta_m_std"].isna().all() and set(analysis.results["interval"].dropna()) == {"none"}
    assert analysis.pareto_probability["probability"].isna().all()


@pytest.mark.slow
def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    for run in ("one", "two"):
        lay_out(tmp_path / run, simulate_sweep())
        analyse_directory(tmp_path / run)
    written = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(written) >= 5 + len(fields(SuiteAnalysis)) + 3
    for path in written:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_what_was_written_is_what_is_read(default: Analysed) -> None:
    directory, written = default
    read = read_analysis(directory)
    assert read.objectives == written.objectives
    for field in fields(SuiteAnalysis):
        if field.name != "objectives":
            pd.testing.assert_frame_equal(
                getattr(read, field.name), getattr(written, field.name), check_dtype=False, check_categorical=False
            )
    types = {column.name: str(column.type) for column in pq.read_schema(directory / "trials.parquet")}
    assert {types[name] for name in ("trial_key", "cell_key", "suite", "role", "task", "weighting", "outcome")} == {
        "string"
    }
    assert (types["seed"], types["lr"], types["best_epoch"], types["test_delta_m"]) == (
        "int64",
        "double",
        "int32",
        "double",
    )


def test_types_of_the_trial_table_do_not_depend_on_how_the_sweep_went(default: Analysed, diverged: Analysed) -> None:
    good, bad = (pq.read_schema(directory / "trials.parquet") for directory, _ in (default, diverged))
    assert good == bad


def test_the_summary_holds_finite_numbers_and_nothing_else_that_counts(one_seed: Analysed) -> None:
    directory, _ = one_seed
    text = (directory / "summary.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    summary = json.loads(text)
    assert summary["best"]["optimizer"] == "adam" and "delta_m_std" not in summary["best"]
    assert summary["pareto"]["sgd"]["pareto_wrt_adam"] == 0
    plots = {path.name: pd.read_csv(path) for path in (directory / "plots").glob("*.csv")}
    assert set(plots) == {"delta_m_by_learning_rate.csv", "scatter.csv"}
    assert len(plots["delta_m_by_learning_rate.csv"]) == 7 * 8 and len(plots["scatter.csv"]) == 56


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing; run `dvc repro`"),
        (lambda path: path.write_bytes(b"PAR1 but not really"), "cannot be read as a Parquet file"),
        (lambda path: write_table(path, pd.DataFrame({"trial_key": ["a"]})), "has no column `epoch`; it has trial_key"),
    ],
)
def test_damaged_curves_are_named(tmp_path: Path, damage: object, message: str) -> None:
    lay_out(tmp_path, simulate_sweep())
    damage(tmp_path / "sweep" / "curves.parquet")  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as error:
        analyse_directory(tmp_path)
    assert "curves.parquet" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[", "is damaged"), ('[{"task": "left"}]', "is damaged"), ("[]", "no metric that counts in Delta_m")],
)
def test_a_damaged_declaration_of_metrics_is_named(tmp_path: Path, content: str, message: str) -> None:
    lay_out(tmp_path, simulate_sweep())
    (tmp_path / "sweep" / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=message):
        analyse_directory(tmp_path)


def test_the_example_of_the_documentation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()
    exec(text.split("```python\n")[1].split("```")[0], {})
    assert "weighting" in capsys.readouterr().out
