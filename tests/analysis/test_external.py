"""Anyone's table of results, the paper's first of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.external import analyse_runs, read_runs
from mtlsweep.analysis.paper.printed_results import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    PAPER_SUITES,
    paper_pareto_counts,
    paper_results,
)
from mtlsweep.errors import UserError
from mtlsweep.params.params import load_params

RUNS = pd.DataFrame(
    {
        "weighting": ["stl", "stl", "ew", "ew", "uw"],
        "optimizer": ["adam", "adam", "adam", "adam", "sgd"],
        "lr": [np.nan, np.nan, 0.1, 0.1, 0.1],
        "seg_miou": [0.4, 0.6, 0.45, 0.55, 0.4],
        "depth_err": [1.0, 1.0, 1.1, 1.3, 1.0],
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("suite", PAPER_SUITES)
def test_the_papers_tables_give_the_papers_figures(suite: str) -> None:
    table = paper_results(suite)
    assert table is not None
    higher = [metric for metric in HIGHER_IS_BETTER if metric in table]
    analysis = analyse_runs(table, higher, "stl", f"{suite}.csv", [m for m in LOWER_IS_BETTER if m in table])
    rows = analysis.trials.merge(table, on=["weighting", "optimizer", "lr"])
    assert len(rows) == 23 and (rows["test_delta_m"] - rows["delta_m"]).abs().max() < 0.15
    assert analysis.results["test_delta_m_mean"].is_monotonic_increasing
    assert set(paper_pareto_counts(suite)["optimizer"]) == {"adam", "sgd"}


@pytest.mark.parametrize("suite", ["cityscapes-segnet", "cityscapes-deeplabv3", "nyuv2-segnet", "nyuv2-deeplabv3"])
def test_the_papers_figures_belong_to_the_suites_of_params_yaml(suite: str) -> None:
    assert suite in load_params(Path(__file__).parents[2] / "params.yaml").suites
    assert paper_results(suite) is not None and len(paper_pareto_counts(suite)) == 2


def test_replicates_are_averaged_baseline_and_rivals() -> None:
    analysis = analyse_runs(RUNS, ["seg_miou"], "stl", "mine.csv")
    assert analysis.baselines["test_mean"].tolist() == [0.5, 1.0]
    results = analysis.results.set_index("weighting")
    assert results.loc["ew", "seeds"] == 2
    assert results.loc["ew", "test_delta_m_mean"] == pytest.approx((0.0 + 20.0) / 2)
    assert results.loc["uw", "test_delta_m_mean"] == pytest.approx((20.0 + 0.0) / 2)


def test_learning_rates_are_not_selected_since_there_is_no_validation() -> None:
    several = pd.concat([RUNS, RUNS[RUNS["weighting"] == "ew"].assign(lr=0.01, seg_miou=0.9)])
    analysis = analyse_runs(several, ["seg_miou"], "stl", "mine.csv")
    assert len(analysis.results) == 3
    assert "ew" not in set(analysis.comparisons["within"])


def test_a_baseline_per_task_may_stand_in_rows_of_its_own() -> None:
    rows = pd.DataFrame(
        {
            "weighting": "stl",
            "optimizer": "adam",
            "lr": [0.1, 0.2],
            "seg_miou": [0.5, np.nan],
            "depth_err": [np.nan, 1.0],
        }
    )
    table = pd.concat([rows, RUNS[RUNS["weighting"] != "stl"]])
    assert analyse_runs(table, ["seg_miou"], "stl", "mine.csv").baselines["test_mean"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("table", "higher", "baseline", "message"),
    [
        (RUNS.drop(columns="lr"), [], "stl", "no column `lr`; expected weighting, optimizer, lr"),
        (RUNS[["weighting", "optimizer", "lr"]], [], "stl", "there is no metric"),
        (RUNS, ["seg_mIou"], "stl", "--higher names `seg_mIou`, which is not a metric; did you mean `seg_miou`"),
        (RUNS, [], "sttl", "no row has the baseline weighting `sttl`; did you mean `stl`"),
        (RUNS[:2], [], "stl", "every row is the baseline"),
        (
            RUNS.assign(seg_miou=["0.5", "n/a", "1", "1", "1"]),
            [],
            "stl",
            "column `seg_miou` holds 'n/a', which is not a number",
        ),
        (RUNS.assign(lr=[0.1, 0.2, 1, 1, 1]), [], "stl", "has 2 different settings of `seg miou`"),
        (RUNS.assign(depth_err=[np.nan, np.nan, 1, 1, 1]), [], "stl", "has no value of `depth err`"),
        (RUNS.assign(depth_err=[0.0, 0.0, 1, 1, 1]), [], "stl", "the baseline of `depth err` is 0"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    table: pd.DataFrame, higher: list[str], baseline: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        analyse_runs(table, higher, baseline, "mine.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.xlsx", b"", "is neither .csv nor .parquet"),
        ("mine.parquet", b"not parquet", "cannot be read as a table"),
        ("mine.csv", b"", "cannot be read as a table"),
        ("mine.csv", b"weighting,optimizer,lr,a_b\n", "has no rows"),
        ("mine.csv", None, "there is no file"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_runs(tmp_path / name)


def test_csv_and_parquet_are_the_same_table(tmp_path: Path) -> None:
    RUNS.to_csv(tmp_path / "mine.csv", index=False)
    RUNS.to_parquet(tmp_path / "mine.parquet")
    pd.testing.assert_frame_equal(
        read_runs(tmp_path / "mine.csv"), read_runs(tmp_path / "mine.parquet"), check_dtype=False
    )
