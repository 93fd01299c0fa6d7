"""Dataset `table`: any CSV or Parquet file, described in params.yaml; what is damaged or odd is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.project.dvc_stages import dataset
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Dataset
from mtlsweep.suites.datasets.tables.table import Table
from mtlsweep.suites.inputs import Feature
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.suites.tasks.attribute import Attribute
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.quantity import Quantity
from mtlsweep.suites.tasks.regression import Regression

ROWS = 200


def sound() -> pd.DataFrame:
    """Return a table with every kind of column."""
    generator = np.random.default_rng(0)
    plan = generator.choice(["basic", "full", "none"], ROWS)
    return pd.DataFrame({
        "person": np.repeat(np.arange(ROWS // 2), 2),
        "day": pd.date_range("2024-01-01", periods=ROWS).astype(str),
        "fold": np.resize(["train", "train", "val", "train", "test"], ROWS),
        "age": generator.uniform(20, 80, ROWS).round(2),
        "plan": plan,
        "visits": generator.poisson(3, ROWS),
        "mood": generator.choice(["bad", "fine", "good"], ROWS),
        "ill": generator.integers(0, 2, ROWS),
    })  # fmt: skip


OPTIONS: dict[str, Any] = {
    "file": "table.csv",
    "inputs": {"age": "number", "plan": "category"},
    "targets": {"visits": "regression", "mood": "classification", "ill": "attribute"},
}

pytestmark = pytest.mark.usefixtures("in_directory")


def choice(**options: Any) -> Choice:
    return DATASETS.resolve(Choice(name="table", options={**OPTIONS, **options}))


def table(frame: pd.DataFrame | None = None, **options: Any) -> Table:
    if frame is not None:
        frame.to_csv("table.csv", index=False)
    made = DATASETS.create(choice(**options))
    assert isinstance(made, Table)
    return made


def whole(dataset: Dataset, split: str, column: str) -> np.ndarray:
    return np.asarray(dataset.rows(split, 0, dataset.sizes()[split])[column])


def refusal(frame: pd.DataFrame | None = None, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        table(frame, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence[-1] in ".?"
    return sentence


def test_a_table_becomes_rows_of_numbers_and_codes_and_a_task_for_each_target() -> None:
    made = table(sound(), split={"column": "fold"})
    assert made.tasks == (Regression("visits"), Classification("mood", classes=3), Attribute("ill"))
    assert made.features == {"row": [Feature("age"), Feature("plan", categories=4)]}
    assert made.sizes() == {"train": 120, "val": 40, "test": 40}
    train = sound()[sound()["fold"] == "train"]
    for split in SPLITS:
        rows = sound()[sound()["fold"] == split]
        expected = (rows["age"] - train["age"].mean()) / train["age"].std(ddof=0)
        np.testing.assert_allclose(whole(made, split, "row")[:, 0], expected, atol=1e-4)
        codes = rows["plan"].map({"basic": 1, "full": 2, "none": 3})
        np.testing.assert_array_equal(whole(made, split, "row")[:, 1], codes)
        np.testing.assert_array_equal(whole(made, split, "mood"), rows["mood"].map({"bad": 0, "fine": 1, "good": 2}))
        expected = (rows["visits"] - train["visits"].mean()) / train["visits"].std(ddof=0)
        np.testing.assert_allclose(whole(made, split, "visits"), expected, atol=1e-4)


def test_csv_with_other_separators_and_parquet_give_the_same_data() -> None:
    sound().to_csv("table.csv", index=False)
    sound().to_csv("tabs.csv", index=False, sep="\t")
    sound().to_parquet("table.parquet", index=False)
    made = [table(file=name) for name in ("table.csv", "tabs.csv", "table.parquet")]
    for other in made[1:]:
        assert other.sizes() == made[0].sizes() and other.features == made[0].features
        for column in ("row", "visits", "mood", "ill"):
            np.testing.assert_array_equal(whole(other, "train", column), whole(made[0], "train", column))


def test_a_kind_derived_from_one_with_classes_gets_their_numbers(
    in_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("derived_kinds.py").write_text(
        "from dataclasses import dataclass\n"
        "from mtlsweep.suites.tasks.attribute import Attribute\n"
        "from mtlsweep.suites.tasks.classification import Classification\n"
        "@dataclass(frozen=True)\n"
        "class Mood(Classification): pass\n"
        "@dataclass(frozen=True)\n"
        "class Illness(Attribute): pass\n"
    )
    monkeypatch.syspath_prepend(str(in_directory))
    built_in = table(sound())
    derived = table(targets={"visits": "regression", "mood": "derived_kinds:Mood", "ill": "derived_kinds:Illness"})
    assert [type(task).__name__ for task in derived.tasks] == ["Regression", "Mood", "Illness"]
    assert derived.tasks[1].outputs == 3
    for name in ("mood", "ill"):
        assert np.array_equal(whole(derived, "train", name), whole(built_in, "train", name))
    prepare(choice(targets={"mood": "derived_kinds:Mood", "ill": "derived_kinds:Illness"}), Path("prepared"))


def test_rare_and_unseen_categories_share_code_0_and_missing_is_a_category() -> None:
    frame = sound()
    frame.loc[frame["fold"] == "test", "plan"] = "new"
    frame.loc[:2, "plan"] = "odd"
    frame.loc[50:90, "plan"] = None
    made = table(frame, split={"column": "fold"})
    codes = {value: code for code, value in enumerate(["basic", "full", "missing", "none"], 1)}
    for split in SPLITS:
        values = frame["plan"].fillna("missing")[frame["fold"] == split]
        np.testing.assert_array_equal(whole(made, split, "row")[:, 1], values.map(codes).fillna(0))
    assert made.features["row"][-1] == Feature("plan", categories=5)


def test_a_missing_number_is_the_mean_and_is_marked() -> None:
    frame = sound()
    frame.loc[::4, "age"] = np.nan
    made = table(frame)
    assert [feature.name for feature in made.features["row"]] == ["age", "age is missing", "plan"]
    rows = np.concatenate([whole(made, split, "row") for split in SPLITS])
    assert rows[:, 1].sum() == ROWS / 4
    assert (rows[rows[:, 1] == 1, 0] == 0).all() and (rows[rows[:, 1] == 0, 0] != 0).all()


def in_train(frame: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    made = frame.astype({column: object})
    made.loc[made["fold"] == "train", column] = value
    return made


class Unmarked(Regression):
    """A kind that says nothing of its targets."""

    @property
    def target(self) -> None:
        return None


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_target_is_no_label_of_that_row(suffix: str) -> None:
    frame, gone = sound().astype({"mood": object, "ill": object}), {"visits": 7, "mood": 3, "ill": 5}
    for column, step in gone.items():
        frame.loc[::step, column] = None
    if suffix == "parquet":
        frame.astype({"visits": "float64", "ill": "float64"}).to_parquet("table.parquet", index=False)
        Path("table.csv").unlink(missing_ok=True)
    made = table(frame if suffix == "csv" else None, file=f"table.{suffix}", split={"column": "fold"})
    whole_table = table(sound(), split={"column": "fold"})
    assert made.tasks == whole_table.tasks and made.features == whole_table.features
    train = frame[frame["fold"] == "train"]["visits"].astype(float)
    for split in SPLITS:
        rows = frame["fold"] == split
        for task in made.tasks:
            assert task.target is not None
            labelled = task.target.labelled(whole(made, split, task.name))
            np.testing.assert_array_equal(labelled, frame[rows][task.name].notna())
            if task.name != "visits":
                expected = whole(whole_table, split, task.name)[labelled]
                np.testing.assert_array_equal(whole(made, split, task.name)[labelled], expected)
        scored = (frame[rows]["visits"].astype(float) - train.mean()) / train.std(ddof=0)
        np.testing.assert_allclose(whole(made, split, "visits"), scored, atol=1e-4)
    assert {name: notes["missing"] for name, notes in made.notes()["targets"].items()} == {
        column: len(range(0, ROWS, step)) for column, step in gone.items()
    }


def test_rows_without_a_label_are_counted_in_the_summary_and_left_out_of_histograms() -> None:
    frame = sound().astype({"mood": object})
    frame.loc[::4, "mood"] = None
    frame.to_csv("table.csv", index=False)
    prepare(choice(split={"column": "fold"}), Path("prepared"))
    summary = json.loads(Path("prepared/summary.json").read_text())
    counts = frame.groupby("fold")["mood"].count().to_dict()
    assert summary["labelled_rows"] == {split: {"mood": counts[split]} for split in SPLITS}
    assert open_prepared(Path("prepared")).incomplete == {"mood"}
    entry = next(one for one in json.loads(Path("prepared/columns.json").read_text()) if one["column"] == "mood")
    assert entry["values"] == counts["train"] and entry["maximum"] == 2


def test_a_target_without_a_label_in_a_split_is_refused() -> None:
    frame = sound()
    frame.loc[frame["fold"] == "val", "visits"] = np.nan
    frame.to_csv("table.csv", index=False)
    with pytest.raises(UserError, match="split `val` has no label of task `visits` in any of its 40 rows"):
        prepare(choice(split={"column": "fold"}), Path("prepared"))


@pytest.mark.slow
def test_a_quantity_is_reported_in_its_unit() -> None:
    made = table(sound(), targets={"visits": {"quantity": {"unit": "visits a year"}}}, split={"column": "fold"})
    train = sound()[sound()["fold"] == "train"]["visits"]
    (task,) = made.tasks
    assert task == Quantity("visits", deviation=float(f"{train.std(ddof=0):.6g}"), unit="visits a year")
    evaluator, targets = task.evaluator(), whole(made, "test", "visits")
    evaluator.update(torch.zeros(len(targets), 1), torch.from_numpy(targets))
    rows = sound()[sound()["fold"] == "test"]["visits"]
    assert evaluator.compute()["mae"] == pytest.approx((rows - train.mean()).abs().mean(), rel=1e-4)


def rows_of(made: Table) -> dict[str, np.ndarray]:
    return made._rows


def test_rows_are_drawn_by_a_seed() -> None:
    first, same, other = (rows_of(table(sound(), split={"val": 0.1, "test": 0.2, "seed": seed})) for seed in (0, 0, 1))
    assert {split: len(rows) for split, rows in first.items()} == {"train": 140, "val": 20, "test": 40}
    assert sorted(np.concatenate(list(first.values()))) == list(range(ROWS))
    assert all(np.array_equal(first[split], same[split]) for split in SPLITS)
    assert not np.array_equal(first["train"], other["train"])


def test_rows_of_a_group_stay_together_and_later_rows_are_for_the_test() -> None:
    people = {split: set(rows // 2) for split, rows in rows_of(table(sound(), split={"group": "person"})).items()}
    assert not people["train"] & people["val"] | people["train"] & people["test"] | people["val"] & people["test"]
    by_time = rows_of(table(sound().sample(frac=1, random_state=0), split={"time": "day"}))
    shuffled = sound().sample(frac=1, random_state=0)["day"].to_numpy()
    days = {split: shuffled[rows] for split, rows in by_time.items()}
    assert max(days["train"]) < min(days["val"]) and max(days["val"]) < min(days["test"])


def test_a_table_is_prepared_like_every_dataset() -> None:
    sound().to_csv("table.csv", index=False)
    prepare(choice(), Path("prepared"))
    data = open_prepared(Path("prepared"))
    assert data.inputs == {"row": (2,)} and len(data.splits["train"]) == 140


def test_it_is_prepared_again_when_its_file_changes() -> None:
    suite = {
        "data": {"dataset": {"table": OPTIONS}},
        "network": "mlp",
        "training": {"epochs": 1, "batch_size": 32},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": {"weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
    }
    Path("params.yaml").write_text(yaml.safe_dump({"active": ["visits"], "suites": {"visits": suite}}))
    written = []
    for frame in (sound(), sound(), sound().iloc[::-1]):
        frame.to_csv("table.csv", index=False)
        dataset("visits")
        written.append(Path("results/visits/plan/dataset.json").read_bytes())
    assert written[0] == written[1] != written[2]


def changed(**columns: Any) -> Callable[[], pd.DataFrame]:
    return lambda: sound().assign(**columns)


def in_row(column: str, value: object, row: int = 7) -> Callable[[], pd.DataFrame]:
    def frame() -> pd.DataFrame:
        made = sound().astype({column: object})
        made.loc[row, column] = value
        return made

    return frame


@pytest.mark.parametrize(
    ("frame", "options", "sentence"),
    [
        (sound, {"inputs": {"agee": "number"}}, "has no column `agee`; did you mean `age`? Its columns are person, day,"),
        (in_row("age", "forty"), {}, "column `age` holds 'forty' in row 7; allowed: numbers, or an empty cell; of text make a"),
        (in_row("age", "1,5"), {}, "column `age` holds '1,5' in row 7; allowed: numbers with a decimal point."),
        (sound, {"inputs": {"day": "number"}}, "column `day` holds dates (2024-01-01 in row 0); allowed: numbers: write a date"),
        (in_row("age", np.inf), {}, "column `age` holds inf in row 7; allowed: finite numbers, or an empty cell"),
        (changed(age=None), {}, "column `age` is empty in every row; leave it out."),
        (changed(age=3), {}, "column `age` is 3 in every training row, so nothing can be learnt from it; leave it out."),
        (changed(plan="full"), {}, "column `plan` is 'full' in every training row, so nothing can be learnt from it;"),
        (sound, {"inputs": {"day": "category"}}, "column `day` has 140 categories, none of them in 10 training rows or more"),
        (sound, {"inputs": {"visits": "number"}}, "column `visits` is both an input and a target, so the input would give the answer"),
        (in_row("visits", None), {"targets": {"visits": f"{__name__}:Unmarked"}}, "target `visits` is missing in row 7 (1 rows in all), and "),
        (changed(visits=None), {}, "column `visits` is empty in every row; leave it out."),
        (changed(mood=None), {}, "column `mood` is empty in every row; leave it out."),
        (lambda: in_train(sound(), "visits", None), {"split": {"column": "fold"}}, "column `visits` is empty in every training row"),
        (lambda: in_train(sound(), "mood", None), {"split": {"column": "fold"}}, "target `mood` has the value 'bad', but in no training row, so"),
        (sound, {"targets": {"visits": {"quantity": {"deviation": 2.0}}}}, "target `visits`: the deviation of a quantity is that of the"),
        (changed(visits=1), {}, "column `visits` is 1 in every training row, so nothing can be learnt from it;"),
        (changed(mood="bad"), {}, "target `mood` is 'bad' in every row: a classification needs two classes or more."),
        (in_row("mood", "odd", 4), {"split": {"column": "fold"}}, "target `mood` has the value 'odd', but in no training row, so it cannot"),
        (sound, {"targets": {"age": "classification"}, "inputs": {"plan": "category"}}, "such as 2"),
        (sound, {"targets": {"mood": {"classification": {"classes": 2}}}}, "holds 3 different values, but classification has 2"),
        (sound, {"targets": {"mood": "attribute"}}, "target `mood` holds 3 different values, but attribute has 2 classes here."),
        (sound, {"targets": {"mood": "regression"}}, "column `mood` holds"),
        (sound, {"targets": {"mood": "ordinal"}}, "target `mood`: unknown task `ordinal`"),
        (sound, {"targets": {"visits": "depth"}}, "target `visits` cannot be a depth, which needs images: choose another kind"),
        (sound, {"targets": {"visits": {"regression": {"scale": 2}}}}, "target `visits`: task `regression` has no option `scale`"),
        (sound, {"split": {"column": "plan"}, "inputs": {"age": "number"}}, "in row 0; allowed: train, val, test, which split"),
        (changed(fold="train"), {"split": {"column": "fold"}}, "the table's split leaves no row for `val` (200 rows in all)"),
        (sound, {"split": {"column": "fold", "group": "person"}}, "`person` 1 is in both `val` and `train`, so that the splits"),
        (sound, {"split": {"column": "ill"}}, "column `ill` is both a target and the column that splits the rows"),
        (sound, {"split": {"group": "plan"}}, "column `plan` is both an input and the column that splits the rows, so training"),
        (changed(day="01.02.24"), {"split": {"time": "day"}}, "column `day` holds '01.02.24' in row 0; allowed: dates as 2026-11-25"),
        (in_row("day", None), {"split": {"time": "day"}}, "column `day` is missing in row 7; allowed: a time in every row."),
    ],
)  # fmt: skip
def test_an_odd_table_is_refused_in_one_sentence(
    frame: Callable[[], pd.DataFrame], options: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(frame(), **options)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("absent.csv", None, "there is no table `absent.csv`; check the path, which starts where `params.yaml` is."),
        ("table.xlsx", b"x", "table `table.xlsx` is neither .csv nor .parquet; save it as one of these."),
        ("latin.csv", "age,plan\n1,für".encode("latin-1"), "it is not UTF-8: line 2 holds byte 0xfc; save the file as UTF-8"),
        ("empty.csv", b"\n", "table `empty.csv` cannot be read (it is empty); mend the file, or save it again."),
        ("header.csv", b"age,plan,visits,mood,ill\n", "has a header and no rows; it needs a row for each example."),
        ("ragged.csv", b"age,plan\n1,a\n2,b,c\n", "table `ragged.csv` cannot be read (CSV parse error: "),
        ("twice.csv", b"age,age,plan\n1,2,a\n", "table `twice.csv` has 2 columns called `age`; rename them."),
        ("cut.parquet", b"PAR1 and no more", "table `cut.parquet` cannot be read ("),
        ("nowhere:table.csv", None, "is inside the package `nowhere`, which is not installed: run `pip install nowhere`."),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_one_sentence(name: str, content: bytes | None, sentence: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert sentence in refusal(file=name)


def test_a_parquet_column_of_lists_is_refused() -> None:
    frame = pa.Table.from_pandas(sound()).append_column("tags", pa.array([["a"]] * ROWS))
    pq.write_table(frame, "table.parquet")
    options = {"file": "table.parquet", "inputs": {"tags": "category"}}
    assert "column `tags` is of type list<" in refusal(**options)
    assert "column `tags` is of type list<" in refusal(**{**options, "inputs": {"tags": "number"}})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"split": {"column": "fold", "time": "day"}}, "give `column` or `time`, not both"),
        ({"split": {"val": 0.5, "test": 0.5}}, "which leaves nothing to train on"),
        ({"inputs": {"age": "text"}}, "option `inputs.age` is 'text': should be 'number' or 'category'."),
        ({"inputs": {}}, "option `inputs` is {}: "),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        choice(**options)
    assert sentence in str(caught.value)


def test_a_table_inside_an_installed_package_is_read() -> None:
    pytest.importorskip("statsmodels")
    options = {"inputs": {"lncoins": "number"}, "targets": {"mdvis": "regression"}}
    made = table(file="statsmodels:datasets/randhie/randhie.csv", **options)
    assert sum(made.sizes().values()) == 20_190
