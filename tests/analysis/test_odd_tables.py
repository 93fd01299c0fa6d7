"""Tables as people leave them: the figures are right, or one sentence names row and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.external import analyse_runs, metrics_of, read_runs
from mtlsweep.errors import UserError

SOUND = """weighting,optimizer,lr,seed,seg_miou,depth_err
stl,adam,0.001,0,0.70,0.20
stl,adam,0.001,1,0.72,0.22
ew,adam,0.001,0,0.68,0.19
ew,adam,0.001,1,0.70,0.21
uw,adam,0.001,0,0.71,0.20
uw,adam,0.001,1,0.73,0.18
"""


def delta_m_of(path: Path) -> list[float]:
    analysis = analyse_runs(read_runs(path), [], "stl", path.name)
    return sorted(round(value, 6) for value in analysis.trials["test_delta_m"])


def written(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return delta_m_of(written(tmp_path_factory.mktemp("sound"), SOUND))


def with_columns(text: str, **columns: list[object]) -> str:
    lines = text.splitlines()
    for name, values in columns.items():
        lines = [f"{line},{value}" for line, value in zip(lines, [name, *values], strict=True)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(f"{'' if n == 0 else n - 1},{line}" for n, line in enumerate(SOUND.splitlines())),
        SOUND.replace(",", ";"),
        SOUND.replace(",", "\t"),
        SOUND.replace(",", ", "),
        SOUND.replace("\n", "\r\n"),
        SOUND + "\n\n",
        SOUND.encode("utf-8-sig"),
        SOUND.replace("uw", "Größe").encode(),
        SOUND.replace("ew", "None"),
        SOUND.replace(",0,", ",0.0,").replace(",1,", ",1.0,"),
        SOUND.replace("seg_miou", "seg_mIoU").replace("depth_err", "depth_RMSE"),
        with_columns(
            SOUND, time=[9, 8, 7, 6, 5, 4], host=["a", "b", "a", "b", "", ""], epoch=[3] * 6, params=[1e6] * 6
        ),
        with_columns(SOUND.replace("seg_miou", "miou"), miou_metric=[1] * 6, cell_key=[2] * 6),
        with_columns(SOUND, val_miou=[0.1] * 6, train_loss=[3, 2, 1, 1, 1, 1]),
    ],
)
def test_what_is_no_metric_and_how_a_file_is_written_change_no_figure(
    tmp_path: Path, content: str | bytes, figures: list[float]
) -> None:
    assert delta_m_of(written(tmp_path, content)) == figures


@pytest.mark.parametrize("kind", ["index", "named index", "text", "category"])
def test_a_parquet_file_may_have_an_index_or_text_for_numbers(tmp_path: Path, kind: str, figures: list[float]) -> None:
    runs = pd.read_csv(written(tmp_path, SOUND))
    runs = {
        "index": runs[::-1],
        "named index": runs.set_index(["weighting", "optimizer", "lr"]),
        "text": runs.astype(str),
        "category": runs.astype({"weighting": "category", "optimizer": "category"}),
    }[kind]
    runs.to_parquet(tmp_path / "mine.parquet")
    assert delta_m_of(tmp_path / "mine.parquet") == figures


def test_columns_without_a_known_direction_are_left_out_by_name() -> None:
    columns = ["weighting", "optimizer", "lr", "seed", "seg_miou", "a_quality", "time", "val_acc", "delta_m", "acc"]
    chosen = metrics_of(columns, [], [], "mine.csv")
    assert {name: o.higher_is_better for name, o in chosen.objectives.items()} == {"seg_miou": True, "acc": True}
    assert chosen.left_out == ("a_quality", "time", "val_acc")


def test_the_user_says_directions_and_overrules_names() -> None:
    columns = ["weighting", "optimizer", "lr", "a_quality", "b_accuracy", "val_acc"]
    chosen = metrics_of(columns, ["a_quality", "val_acc"], ["b_accuracy"], "mine.csv")
    directions = {name: o.higher_is_better for name, o in chosen.objectives.items()}
    assert directions == {"a_quality": True, "b_accuracy": False, "val_acc": True} and chosen.left_out == ()


def test_a_run_without_a_figure_is_no_result_and_no_front(tmp_path: Path) -> None:
    runs = read_runs(written(tmp_path, SOUND.replace("0.70,0.21", "0.70,NaN")))
    analysis = analyse_runs(runs, [], "stl", "mine.csv")
    results = analysis.results.set_index("weighting")["test_delta_m_mean"]
    assert np.isnan(results["ew"]) and np.isfinite(results["uw"])
    assert analysis.optimizer_counts["not_comparable"].tolist() == [1]


@pytest.mark.slow
def test_methods_may_have_different_seeds_and_there_may_be_one_method_only(tmp_path: Path) -> None:
    lines = SOUND.splitlines(keepends=True)
    unequal = analyse_runs(read_runs(written(tmp_path, "".join(lines[:-1]))), [], "stl", "mine.csv")
    assert dict(zip(unequal.results["weighting"], unequal.results["seeds"], strict=True)) == {"ew": 2, "uw": 1}
    alone = analyse_runs(read_runs(written(tmp_path, "".join(lines[:4]))), [], "stl", "mine.csv")
    assert alone.results["weighting"].tolist() == ["ew"]


def test_a_baseline_per_task_may_use_one_seed_twice(tmp_path: Path, figures: list[float]) -> None:
    head, first, second, *rest = SOUND.splitlines()
    stl = [f"{row.rpartition(',')[0]},nan" for row in (first, second)]
    stl += ["stl,adam,0.001,0,,0.20", "stl,adam,0.001,1,,0.22"]
    assert delta_m_of(written(tmp_path, "\n".join([head, *stl, *rest]))) == figures


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("uw,adam,0.001,1,0.73", "ew,adam,0.001,0,0.68", "rows 3 and 6 are the same run: weighting `ew`, optimizer `adam`"),
        ("stl,adam,0.001,1", "stl,adam,0.001,0", "rows 1 and 2 are the same run: weighting `stl`"),
        ("ew,adam,0.001,1,", "ew,adam,0.001,,", "row 4: column `seed` is empty; every run needs a whole number"),
        ("ew,adam,0.001,1,", "ew,adam,0.001,0.5,", "row 4: column `seed` is `0.5`"),
        ("ew,adam,0.001,1,", "ew,adam,0.001,one,", "row 4: column `seed` holds 'one', which is not a number"),
        ("ew,adam,0.001,1,", ",adam,0.001,1,", "row 4: column `weighting` is empty; every run needs a name"),
        ("ew,adam,0.001,1,", "ew,nan,0.001,1,", "row 4: column `optimizer` is `nan`"),
        ("ew,adam,0.001,1,", "ew,adam,fast,1,", "row 4: column `lr` holds 'fast', which is not a number"),
        ("ew,adam,0.001,1,", "ew,adam,0,1,", "row 4: column `lr` is `0.0`; a learning rate is above 0"),
        ("ew,adam,0.001,1,", "ew,Adam,0.001,1,", "holds `adam` in row 1 and `Adam` in row 4; spell it in one way"),
        ("0.70,0.21", "0.70,inf", "row 4: column `depth_err` is `inf`; write a finite number, or nothing"),
        ("0.70,0.21", "0.70,21 %", "row 4: column `depth_err` holds '21 %', which is not a number"),
        ("0.70,0.21", "0.70", "line 5 has 5 cells separated by ',', but the first line has 6"),
        ("0.70,0.21", "0.70,0.21,7", "line 5 has 7 cells separated by ',', but the first line has 6"),
        ("depth_err", "seg_miou", "2 columns are called `seg_miou`"),
        ("seg_miou,depth_err", "seg_x,depth_y", "no metric with a known direction.* Found: seg_x, depth_y"),
        ("lr,seed", "learning_rate,seed", "there is no column `lr`.*found weighting, optimizer, learning_rate"),
    ],
)  # fmt: skip
def test_an_unsound_row_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, SOUND.replace(old, new, 1))
    with pytest.raises(UserError, match=message) as caught:
        delta_m_of(path)
    assert "\n" not in str(caught.value)


def test_columns_that_would_get_one_name_are_both_named(tmp_path: Path) -> None:
    runs = read_runs(written(tmp_path, SOUND.replace("seg_miou,depth_err", "seg,seg_metric")))
    with pytest.raises(UserError, match="columns `seg` and `seg_metric` would both be called `seg_metric`"):
        analyse_runs(runs, ["seg"], "stl", "mine.csv", ["seg_metric"])


def test_a_metric_has_one_direction() -> None:
    with pytest.raises(UserError, match="`a_x` is in --higher and in --lower"):
        metrics_of(["weighting", "optimizer", "lr", "a_x"], ["a_x"], ["a_x"], "mine.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SOUND.replace("uw", "Größe").encode("latin-1"), "cannot be read as a table: it is not UTF-8: line 6 holds byte 0xf6; save the file as UTF-8"),
        (SOUND.encode("utf-16"), "cannot be read as a table: it is not UTF-8: line 1 holds byte 0xff"),
        ("\n \n", "cannot be read as a table: it is empty"),
        (SOUND.splitlines()[0], "has no rows"),
    ],
)  # fmt: skip
def test_other_encodings_and_empty_files_are_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_runs(written(tmp_path, content))
