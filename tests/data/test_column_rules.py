"""Columns are held to their kinds of tasks while they are written: each mistake here failed in training only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Columns, Dataset
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.suites.tasks import TASKS, Task
from mtlsweep.suites.tasks.attribute import Attribute
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals
from mtlsweep.suites.tasks.quantity import Quantity
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.suites.tasks.segmentation import Segmentation

ROWS, SIZE = 6, (8, 10)
KINDS: tuple[Task, ...] = (
    Classification("kind", classes=3),
    Attribute("smiling"),
    Regression("width"),
    Quantity("energy", deviation=2.0),
    Segmentation("semseg", classes=4),
    Depth("depth"),
    Normals("normal"),
)


def sound() -> Columns:
    """Return six rows with every mark of "no label" in them."""
    generator = np.random.default_rng(0)
    semseg = generator.integers(0, 4, (ROWS, *SIZE), np.uint8)
    semseg[:, 0] = 255
    depth = generator.uniform(1, 9, (ROWS, *SIZE)).astype(np.float32)
    depth[:, 0] = 0
    normal = generator.normal(size=(ROWS, 3, *SIZE)).astype(np.float16)
    normal[:, :, 0] = 0
    return {
        IMAGE: generator.integers(0, 256, (ROWS, 3, *SIZE), np.uint8),
        "kind": np.array([0, 1, 2, 0, 1, 255]),
        "smiling": np.array([0, 1, 0, 1, 0, 255], np.uint8),
        "width": np.array([*generator.normal(size=ROWS - 1), np.nan]),
        "energy": np.array([np.nan, *np.linspace(-1, 1, ROWS - 1)]),
        "semseg": semseg,
        "depth": depth,
        "normal": normal,
    }


class Given(Dataset):
    """The same rows in every split."""

    def __init__(self, columns: Mapping[str, Any], tasks: Sequence[Task] = KINDS, *, notes: Any = None) -> None:
        self.tasks, self._columns, self._notes = tasks, columns, notes or {}

    def sizes(self) -> Mapping[str, int]:
        return dict.fromkeys(SPLITS, ROWS)

    def rows(self, split: str, start: int, stop: int) -> Columns:
        return {name: column[start:stop] for name, column in self._columns.items()}

    def notes(self) -> Mapping[str, Any]:
        return self._notes


Prepare = Callable[[Dataset], Path]


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Return a function that prepares a dataset that is at hand, and returns the directory."""

    def run(dataset: Dataset) -> Path:
        monkeypatch.setattr(DATASETS, "resolve", lambda choice: choice)
        monkeypatch.setattr(DATASETS, "create", lambda choice: dataset)
        monkeypatch.setattr(DATASETS, "module", lambda name: Dataset.__module__)  # which code it is plays no part here
        prepare(Choice(name="given"), tmp_path / "given")
        return tmp_path / "given"

    return run


def test_every_kind_of_task_says_what_its_targets_are() -> None:
    assert {task.kind for task in KINDS} == set(TASKS.names())
    assert all(task.target is not None for task in KINDS)


def test_sound_columns_and_their_marks_are_taken(prepared: Prepare) -> None:
    data = open_prepared(prepared(Given(sound())))
    assert len(data.splits["test"]) == ROWS


def with_value(name: str, value: float, row: int = 4) -> Callable[[Columns], Any]:
    def change(columns: Columns) -> Any:
        column = columns[name].astype(np.float64 if columns[name].dtype.kind == "f" else np.int64)
        column[(row, *[1] * (column.ndim - 1))] = value
        return column

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("kind", lambda c: c["kind"] + 1, "holds 3 in row 2; allowed: whole numbers from 0 to 2, and 255 for no label."),
        ("kind", with_value("kind", -1), "holds -1 in row 4; allowed: whole numbers from 0 to 2, and 255 for no label."),
        ("kind", lambda c: c["kind"].astype(np.float32), "is of type float32; allowed: an integer type without a scale"),
        ("kind", lambda c: c["kind"][:, None], "has the shape [1, 1]; allowed: [rows] for classification."),
        ("kind", lambda c: np.array(["a"] * ROWS), "is of type <U1; allowed: uint8, int8,"),
        ("kind", lambda c: c["kind"].astype(">i8"), "is of type >i8; allowed: uint8, int8,"),
        ("kind", lambda c: c["kind"].tolist(), "is a list; allowed: a NumPy array with a row for each example."),
        ("smiling", lambda c: c["smiling"].astype(bool), "is of type bool; allowed: uint8,"),
        ("smiling", lambda c: c["smiling"].astype(np.int8) * 2 - 1, "holds -1 in row 0; allowed: whole numbers from 0 to 1, and 255 for no label."),
        ("width", with_value("width", -np.inf), "holds -inf in row 4; allowed: finite numbers, and nan for no label."),
        ("semseg", with_value("semseg", 4), "holds 4 in row 4; allowed: whole numbers from 0 to 3, and 255 for no label."),
        ("semseg", with_value("semseg", -1), "holds -1 in row 4; allowed"),
        ("semseg", lambda c: c["semseg"][:, None], "allowed: [rows, 8, 10] for segmentation."),
        ("semseg", lambda c: c["semseg"][:, ::2, ::2], "has the shape [1, 4, 5]; allowed: [rows, 8, 10]"),
        ("depth", with_value("depth", -1), "holds -1.0 in row 4; allowed: finite numbers from 0."),
        ("depth", with_value("depth", np.nan), "holds nan in row 4; allowed: finite numbers from 0."),
        ("normal", with_value("normal", np.nan), "holds nan in row 4; allowed: finite numbers."),
        ("normal", lambda c: c["normal"].transpose(0, 2, 3, 1), "has the shape [1, 8, 10, 3]; allowed: [rows, 3, 8, 10] for normals."),
        (IMAGE, lambda c: c[IMAGE].transpose(0, 2, 3, 1), "with the channels last; allowed: [rows, channels, height, width]"),
        (IMAGE, lambda c: c[IMAGE][:, 0], "has the shape [1, 8, 10]; allowed: [rows, channels, height, width]"),
        (IMAGE, lambda c: c[IMAGE].astype(object), "is of type object; allowed: uint8,"),
        (IMAGE, lambda c: np.where(c[IMAGE] > 250, np.nan, 7.0), "holds nan in row 0; allowed: finite numbers."),
        (IMAGE, lambda c: c[IMAGE] / np.float32(255), "is float32 with no value above 1, and its scale is 1/255"),
    ],
)  # fmt: skip
def test_a_column_that_its_task_does_not_take_is_refused_while_it_is_written(
    prepared: Prepare, tmp_path: Path, name: str, change: Callable[[Columns], Any], message: str
) -> None:
    columns = sound()
    columns[name] = change(columns)
    if name == IMAGE:  # targets have the shape of the image
        columns = {name: columns[name] for name in (IMAGE, "kind", "width")}
    tasks = [task for task in KINDS if task.name in columns]
    with pytest.raises(UserError) as caught:
        prepared(Given(columns, tasks))
    sentence = str(caught.value)
    assert sentence.startswith(f"column `{name}` of split `train` ") and message in sentence
    assert "\n" not in sentence and not (tmp_path / "given").exists()


def test_the_row_is_counted_over_the_whole_split(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtlsweep.suites.prepared.shards.SHARD_BYTES", 1)  # a row to a shard
    columns = sound()
    columns["kind"][5] = 7
    with pytest.raises(UserError, match="column `kind` of split `train` holds 7 in row 5"):
        prepared(Given(columns))


def test_a_class_has_no_scale(prepared: Prepare) -> None:
    dataset = Given(sound())
    dataset.scales = {IMAGE: 1 / 255, "kind": 0.5}
    with pytest.raises(UserError, match="column `kind` of split `train` has a scale; allowed: an integer type without"):
        prepared(dataset)


def test_images_have_one_shape_in_all_splits(prepared: Prepare) -> None:
    class Uneven(Given):
        def rows(self, split: str, start: int, stop: int) -> Columns:
            rows = super().rows(split, start, stop)
            return rows | {IMAGE: rows[IMAGE][..., :8]} if split == "test" else rows

    columns = {name: column for name, column in sound().items() if name in (IMAGE, "kind")}
    with pytest.raises(
        UserError, match=r"split `test` has images of the shape \[3, 8, 8\]; allowed: \[3, 8, 10\], as in"
    ):
        prepared(Uneven(columns, KINDS[:1]))


@dataclass(frozen=True)
class MissingIsNan(Regression):
    """A user's own kind, with a mark of its own."""

    @property
    def target(self) -> None:
        return None


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_kind_of_ones_own_may_mark_with_nan_and_the_summary_is_json(prepared: Prepare) -> None:
    columns = {IMAGE: sound()[IMAGE], "width": np.array([1, 2, np.nan, 3, np.inf, 4])}
    notes = {"mean": np.float32(2.5), "spread": float("nan"), "shape": np.array([1, 2])}
    directory = prepared(Given(columns, [MissingIsNan("width")], notes=notes))
    found = strict((directory / "summary.json").read_text())["notes"]
    assert (found["mean"], found["spread"], found["shape"]) == (2.5, None, [1, 2])
    assert found["statistics"]["val/width"] == {"minimum": 1.0, "maximum": 4.0, "mean": 2.5, "not_finite": 2}


def test_notes_that_are_no_json_are_refused_in_a_sentence(prepared: Prepare) -> None:
    with pytest.raises(UserError, match=r"notes\(\) of dataset `given` cannot be written as JSON"):
        prepared(Given(sound(), notes={"path": object()}))
