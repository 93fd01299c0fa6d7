"""Rows of map-style datasets become columns: mappings, pairs, images, numbers; odd ones are refused in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from mtlsweep import UserError, from_torch
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.dataset import Dataset
from mtlsweep.suites.datasets.torch_data import MapStyle
from mtlsweep.suites.prepared.contact_sheet import contact_sheet
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression

TASKS = (Classification("kind", classes=3), Regression("size"))
PICTURE = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))


def made(rows: MapStyle, **arguments: Any) -> Dataset:
    return from_torch(rows, rows, rows, arguments.pop("tasks", TASKS), **arguments)


def test_a_mapping_names_inputs_and_targets() -> None:
    row = {"words": torch.tensor([3, 1]), "kind": 2, "size": 0.5, "weight": np.float32(1)}
    dataset = made([row, row])
    assert dataset.inputs == ("words", "weight")
    columns = dataset.rows("val", 0, 2)
    assert {name: np.asarray(column).shape for name, column in columns.items()} == {
        "words": (2, 2),
        "kind": (2,),
        "size": (2,),
        "weight": (2,),
    }


@pytest.mark.parametrize("targets", [(2, 0.5), [2, 0.5], {"size": 0.5, "kind": 2}])
def test_a_pair_is_an_image_with_its_targets(targets: object) -> None:
    columns = made([(PICTURE, targets)]).rows("train", 0, 1)
    assert (columns["kind"][0], columns["size"][0]) == (2, 0.5)
    assert np.array_equal(columns["image"][0], np.asarray(PICTURE).transpose(2, 0, 1))


def test_a_row_of_a_tensor_dataset_is_an_image_and_the_targets_in_order() -> None:
    rows = torch.utils.data.TensorDataset(torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 2, 0]), torch.rand(4))
    columns = made(rows).rows("test", 1, 3)
    assert np.array_equal(columns["kind"], [1, 2])
    assert np.asarray(columns["image"]).dtype == np.float32


def test_one_task_takes_the_second_of_a_pair() -> None:
    columns = made([(PICTURE, 1)], tasks=TASKS[:1]).rows("train", 0, 1)
    assert columns["kind"] == [1]


def test_bytes_of_images_are_scaled_and_floats_are_not() -> None:
    assert made([(PICTURE, (0, 0.0))]).scales == {"image": 1 / 255}
    assert made([(torch.rand(3, 2, 2), (0, 0.0))]).scales == {}


def test_a_function_turns_any_row_into_a_mapping() -> None:
    dataset = made(["2 0.5"], columns=lambda row: {"x": [1.0], "kind": int(row[0]), "size": float(row[2:])})
    assert dataset.inputs == ("x",)
    assert dataset.rows("train", 0, 1)["size"] == [0.5]


def test_padded_inputs_stay_lists() -> None:
    rows = [{"words": torch.zeros(length), "kind": 0, "size": 0.0} for length in (1, 3)]
    words: Iterable[np.ndarray] = made(rows, padded={"words": 3}).rows("train", 0, 2)["words"]
    assert [len(one) for one in words] == [1, 3]


class _Random(list[Any]):
    def __getitem__(self, row: Any) -> Any:
        return {"x": torch.rand(2), "kind": 0, "size": 0.0}


class _Stream(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(())


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "`train` has no rows"),
        (_Stream(), "`train` is _Stream, which has no length: give a map-style dataset"),
        (
            DataLoader(TensorDataset(torch.zeros(1))),
            "`train` is DataLoader, whose rows have no number: give a map-style dataset",
        ),
        (["text"], "a row is a str: rows must be mappings"),
        ([(PICTURE, (1, 2, 3))], r"an image with 3 target\(s\) for 2 task\(s\)"),
        ([{"x": "text", "kind": 0, "size": 0.0}], "holds 'text', which is not numeric"),
        ([{"x": 1.0, "kind": 0}], "row 0 of `train` has no `size`"),
        (_Random([0]), "differs each time it is read, so a random transform is at work"),
    ],
)
def test_what_cannot_be_stored_is_refused(rows: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        made(rows)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ({"x": [1.0, 2.0], "kind": 0, "size": 0.0}, r"`x` of row 1 of `train` has shape \(2,\).*padded"),
        ({"y": [1.0], "kind": 0, "size": 0.0}, "row 1 of `train` has no `x`"),
    ],
)
def test_rows_must_be_alike(second: Any, sentence: str) -> None:
    dataset = made([{"x": [1.0], "kind": 0, "size": 0.0}, second])
    with pytest.raises(UserError, match=sentence):
        dataset.rows("train", 0, 2)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "def data(): pass",
            "dataset `unwritten_data:data` gives NoneType, which is no dataset: return what `mtlsweep.from_torch`",
        ),
        ("def data(): return [1]", "gives list, which is no dataset"),
        (
            "def data(rows): return rows",
            "cannot be called: missing a required argument: 'rows'; it gets 0 arguments by position",
        ),
        (
            "from mtlsweep.suites.datasets import Dataset\n"
            "class data(Dataset):\n"
            "    def sizes(self): return {}\n"
            "    def rows(self, split, start, stop): return {}\n",
            "dataset `unwritten_data:data` has no `tasks`: give it a tuple of what is learnt.",
        ),
    ],
)
def test_what_gives_no_dataset_is_named(
    code: str, sentence: str, in_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("unwritten_data.py").write_text(code)
    monkeypatch.syspath_prepend(str(in_directory))
    monkeypatch.delitem(sys.modules, "unwritten_data", raising=False)
    with pytest.raises(UserError) as refused:
        prepare(Choice(name="unwritten_data:data"), Path("prepared"))
    assert sentence in str(refused.value)


def test_float_images_and_two_channels_have_a_contact_sheet() -> None:
    for channels in (1, 2, 3):
        ramp = np.linspace(-3, 5, 16, dtype=np.float32).reshape(1, 1, 4, 4).repeat(channels, axis=1)
        sheet = contact_sheet({"image": ramp, "kind": np.zeros(1, np.int64)})
        pixels = np.asarray(sheet.crop((4, 4, 100, 100)))
        assert pixels.min() == 0
        assert pixels.max() == 255
