"""Results that other papers print: transcribed without a slip, with their source, and what can be claimed from them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.external import analyse_runs, printed_claims, read_runs
from mtlsweep.report.external import analyse_table

FOLDER = Path(str(files("mtlsweep.analysis") / "published"))
TABLES = sorted(path.stem for path in FOLDER.glob("*.csv"))


def rivals_of(name: str) -> pd.DataFrame:
    runs = read_runs(FOLDER / f"{name}.csv")
    return runs[runs["weighting"] != "stl"]


def test_three_papers_are_there_with_their_source() -> None:
    source = (FOLDER / "README.md").read_text()
    assert {name.split("_")[0] for name in TABLES} == {"db", "famo", "imgrad"}
    assert all(f"`{name}.csv`" in source for name in TABLES)
    assert source.count("arXiv") >= 3


@pytest.mark.parametrize("name", TABLES)
def test_each_printed_delta_m_comes_out_of_the_printed_metrics(name: str) -> None:
    """So that a slip of the transcription would show."""
    runs = read_runs(FOLDER / f"{name}.csv")
    analysis = analyse_runs(runs, [], "stl", name)
    found = analysis.trials.merge(runs[["weighting", "delta_m"]], on="weighting")
    ours = found["test_delta_m_task_mean" if name.startswith("db_mtl") else "test_delta_m"]
    assert len(found) == len(runs) - 1
    assert (np.abs(ours - found["delta_m"]) <= np.maximum(0.17, 0.02 * found["delta_m"].abs())).all()


def test_a_lead_within_the_noise_is_no_claim() -> None:
    claims = printed_claims(rivals_of("famo_nyuv2"))
    assert claims is not None and claims.best == "FAMO" and "Nash-MTL" in claims.tied
    assert claims.rows_with_noise == 1 and claims.low < -4.10 < claims.high < 0


def test_a_lead_beyond_the_noise_of_many_rows_is() -> None:
    nyuv2, cityscapes = (printed_claims(rivals_of(f"db_mtl_{name}")) for name in ("nyuv2", "cityscapes"))
    assert nyuv2 is not None and cityscapes is not None
    assert nyuv2.best == cityscapes.best == "DB-MTL"
    assert nyuv2.tied == () and {"MGDA", "IMTL", "Aligned-MTL"} <= set(cityscapes.tied)
    assert nyuv2.high < 0 and cityscapes.low < 0 < cityscapes.high, "better than single-task; open"


def rows(deviations: list[float], seeds: int = 3) -> pd.DataFrame:
    delta_m = [1.0, 1.2, 5.0][: len(deviations)]
    return pd.DataFrame(
        {"weighting": list("abc")[: len(deviations)], "delta_m": delta_m, "delta_m_std": deviations, "seeds": seeds}
    )


def test_without_a_deviation_nothing_is_claimed() -> None:
    assert printed_claims(rivals_of("imgrad_cityscapes")) is None
    assert printed_claims(rows([np.nan] * 3)) is None and printed_claims(rows([0.1] * 3, seeds=1)) is None
    assert printed_claims(rows([0.1])) is None
    claims = printed_claims(rows([0.1, 0.1, 0.1]))
    assert claims is not None and claims.tied == ("b",)


def test_more_seeds_tell_more_apart() -> None:
    few, many = (printed_claims(rows([0.2, 0.2, 0.2], seeds)) for seeds in (3, 30))
    assert few is not None and many is not None and few.least > many.least
    assert few.tied == ("b",) and many.tied == ()


@pytest.mark.slow
def test_the_command_says_what_the_printed_figures_can_claim(tmp_path: Path) -> None:
    said = analyse_table(FOLDER / "db_mtl_cityscapes.csv", [], "stl", None)
    assert "Left out" not in said, "seeds is no metric"
    assert "Of the printed means DB-MTL is lowest (-0.20 %). 11 of 20 others differ from it by more than chance" in said
    assert "Not told apart from DB-MTL: MGDA, IMTL, GLS" in said
    assert "better or worse than single-task learning is open (95 % interval -1.19 to +0.79 %)" in said
    assert "printed means" not in analyse_table(FOLDER / "imgrad_cityscapes.csv", [], "stl", None)
