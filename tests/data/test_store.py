"""The store: what goes in comes out, in any order, and its fingerprint is of the content alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.dataset import Columns, Dataset
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared import arrow_files, shards
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import PreparedData, open_prepared
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression

CPU = torch.device("cpu")
SIZES = {"train": 700, "val": 5, "test": 300}
CHOICE = Choice(name=f"{__name__}:Noise")


@dataclass(frozen=True)
class AnyNumbers(Regression):
    """A kind whose targets have any shape; nothing is trained here."""

    @property
    def target(self) -> None:
        return None


class Noise(Dataset):
    """Columns of every stored type."""

    scales: Mapping[str, float] = {IMAGE: 1 / 255, "far": 1 / 65535}
    tasks: tuple[Task, ...] = (
        Classification("kind", classes=10),
        AnyNumbers("far"),
        AnyNumbers("normal"),
        Regression("size"),
    )
    fail_from: ClassVar[int | None] = None
    asked: ClassVar[list[tuple[str, int, int]]] = []

    def __init__(self, *, value: int = 0) -> None:
        self.value = value

    def sizes(self) -> Mapping[str, int]:
        return SIZES

    def rows(self, split: str, start: int, stop: int) -> Columns:
        if Noise.fail_from is not None and stop > Noise.fail_from and split == "train":
            raise UserError("raw file 17 is damaged")
        Noise.asked.append((split, start, stop))
        columns = content(split, self.value)
        return {name: column[start:stop] for name, column in columns.items()}


def content(split: str, value: int = 0) -> Columns:
    generator = np.random.default_rng(len(split))
    rows = SIZES[split]
    return {
        IMAGE: generator.integers(0, 256, (rows, 3, 4, 5), np.uint8),
        "kind": ((generator.integers(0, 10, rows, np.uint8) + value) % 10).astype(np.uint8),
        "far": generator.integers(0, 65536, (rows, 20, 20), np.uint16),
        "normal": generator.normal(size=(rows, 3, 4, 5)).astype(np.float16),
        "size": generator.normal(size=rows).astype(np.float32),
    }


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this file importable by the name that `CHOICE` gives it, and forget earlier requests."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))
    monkeypatch.setattr(Noise, "fail_from", None)
    monkeypatch.setattr(Noise, "asked", [])


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedData:
    prepare(CHOICE, tmp_path / "noise")
    return open_prepared(tmp_path / "noise")


@pytest.mark.parametrize("resident_bytes", [0, 2**30])
@pytest.mark.parametrize(
    "order", [None, torch.randperm(700, generator=torch.Generator().manual_seed(0)), torch.tensor([5, 5, 699])]
)
def test_batches_hold_the_rows_asked_for(
    prepared: PreparedData, order: torch.Tensor | None, resident_bytes: int
) -> None:
    split = open_prepared(prepared.directory, resident_bytes).splits["train"]
    batches = list(split.batches(order, 64, CPU))
    rows = np.arange(700) if order is None else order.numpy()
    expected = {name: column[rows] for name, column in content("train").items()}
    assert [len(batch) for batch in batches[:-1]] == [64] * (len(batches) - 1)
    torch.testing.assert_close(
        torch.cat([b.inputs[IMAGE] for b in batches]), torch.from_numpy(expected[IMAGE]).float() / 255
    )
    found = {name: torch.cat([batch.targets[name] for batch in batches]) for name in batches[0].targets}
    assert {name: target.dtype for name, target in found.items()} == {
        "kind": torch.int64, "far": torch.float32, "normal": torch.float32, "size": torch.float32,
    }  # fmt: skip
    assert torch.equal(found["kind"], torch.from_numpy(expected["kind"]).long())
    torch.testing.assert_close(found["far"], torch.from_numpy(expected["far"].astype(np.float32)) / 65535)
    assert torch.equal(found["normal"], torch.from_numpy(expected["normal"]).float())
    assert torch.equal(found["size"], torch.from_numpy(expected["size"]))


def test_a_batch_may_be_changed_without_changing_the_data(prepared: PreparedData) -> None:
    for resident_bytes in (0, 2**30):
        split = open_prepared(prepared.directory, resident_bytes).splits["val"]
        first = next(split.batches(None, 5, CPU))
        kept = first.inputs[IMAGE].clone()
        first.inputs[IMAGE].zero_()
        first.targets["size"].zero_()
        again = next(split.batches(None, 5, CPU))
        assert torch.equal(again.inputs[IMAGE], kept)
        assert not torch.equal(again.targets["size"], first.targets["size"])


def test_record_batches_have_256_to_1024_rows_and_tensor_columns(prepared: PreparedData) -> None:
    reader = pa.ipc.open_file(pa.memory_map(str(prepared.directory / "train.arrow")))
    assert reader.get_batch(0).num_rows == 700
    assert reader.schema.field(IMAGE).type == pa.fixed_shape_tensor(pa.uint8(), (3, 4, 5))
    assert reader.schema.metadata[b"fingerprint"].decode() == prepared.fingerprint


@pytest.mark.slow
def test_the_fingerprint_knows_content_only(
    prepared: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 20_000)
    monkeypatch.setattr(arrow_files, "BATCH_BYTES", 20_000)
    prepare(CHOICE, tmp_path / "elsewhere")
    elsewhere = open_prepared(tmp_path / "elsewhere", resident_bytes=0)
    assert elsewhere.fingerprint == prepared.fingerprint
    order = torch.randperm(700)
    two_stores = (data.splits["train"].batches(order, 50, CPU) for data in (elsewhere, prepared))
    for one, other in zip(*two_stores, strict=True):
        assert torch.equal(one.inputs[IMAGE], other.inputs[IMAGE])
    prepare(CHOICE.model_copy(update={"options": {"value": 1}}), tmp_path / "changed")
    assert open_prepared(tmp_path / "changed").fingerprint != prepared.fingerprint


@pytest.mark.slow
def test_preparation_that_fails_leaves_the_old_data_and_keeps_finished_shards(
    prepared: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 200_000)
    monkeypatch.setattr(Noise, "fail_from", 400)
    with pytest.raises(UserError, match="raw file 17"):
        prepare(CHOICE, prepared.directory)
    assert open_prepared(prepared.directory).fingerprint == prepared.fingerprint
    kept = {path.stem for path in prepared.directory.parent.glob(".noise.partial-*/shards/*.npz")}
    assert "train-00000000-00000203" in kept
    Noise.asked.clear()
    monkeypatch.setattr(Noise, "fail_from", None)
    prepare(CHOICE, prepared.directory)
    assert not kept & {f"{split}-{start:08d}-{stop:08d}" for split, start, stop in Noise.asked}
    assert open_prepared(prepared.directory).fingerprint == prepared.fingerprint
    assert [path.name for path in prepared.directory.parent.iterdir()] == ["noise"]


def test_summary_says_what_is_inside(prepared: PreparedData) -> None:
    summary: dict[str, Any] = json.loads((prepared.directory / "summary.json").read_text())
    assert summary["splits"] == SIZES
    assert summary["input_shape"] == [3, 4, 5]
    assert prepared.tasks == Noise.tasks
    counts = summary["notes"]["statistics"]["train/kind"]["counts"]
    assert counts == {str(value): int((content("train")["kind"] == value).sum()) for value in range(10)}


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no prepared data in .*nowhere.*dvc repro"):
        open_prepared(tmp_path / "nowhere")


@pytest.mark.parametrize("size", [0, 100, -200])
def test_a_truncated_file_is_named(prepared: PreparedData, size: int) -> None:
    path = prepared.directory / "val.arrow"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"val\.arrow cannot be read .* `dvc repro`"):
        open_prepared(prepared.directory)


@pytest.mark.slow
def test_a_file_of_another_preparation_is_named(prepared: PreparedData, tmp_path: Path) -> None:
    prepare(CHOICE.model_copy(update={"options": {"value": 1}}), tmp_path / "changed")
    (tmp_path / "changed" / "val.arrow").replace(prepared.directory / "val.arrow")
    with pytest.raises(UserError, match=r"val\.arrow does not belong"):
        open_prepared(prepared.directory)


def test_memory_is_used_again_when_nothing_refers_to_its_batch(prepared: PreparedData) -> None:
    split = open_prepared(prepared.directory, resident_bytes=0).splits["train"]
    places = {batch.inputs[IMAGE].data_ptr() for batch in split.batches(None, 50, CPU)}
    assert len(places) == 2
    part = None
    for number, batch in enumerate(split.batches(None, 50, CPU)):
        if number == 0:
            part, expected = (
                batch.inputs[IMAGE][3, 0],
                batch.inputs[IMAGE][3, 0].clone(),
            )  # a view, nothing else of its batch
    assert part is not None
    assert torch.equal(part, expected)
