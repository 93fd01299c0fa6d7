"""Labels that are missing row by row: stored, read, measured, and part of a trial's identity where there are some."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from torch import Tensor

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import load_params
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Columns, Dataset
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.networks import MultiTaskNetwork, create_network
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import Batch, PreparedData, open_prepared
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.attribute import Attribute
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.suites.tasks.segmentation import Segmentation
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.step.updater import build_updater
from mtlsweep.trials.trial import Trial

CPU = torch.device("cpu")
ROWS = 12
Prepare = Callable[[Dataset], PreparedData]


class Given(Dataset):
    """Columns that are at hand, by split."""

    def __init__(self, tasks: list[Task], splits: Mapping[str, Columns]) -> None:
        self.tasks, self._splits = tasks, splits

    def sizes(self) -> Mapping[str, int]:
        return {split: len(columns[IMAGE]) for split, columns in self._splits.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        return {name: column[start:stop] for name, column in self._splits[split].items()}


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    def run(dataset: Dataset) -> PreparedData:
        monkeypatch.setattr(DATASETS, "resolve", lambda choice: choice)
        monkeypatch.setattr(DATASETS, "create", lambda choice: dataset)
        monkeypatch.setattr(DATASETS, "module", lambda name: Dataset.__module__)
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        prepare(Choice(name="given"), directory)
        return open_prepared(directory, resident_bytes=0)

    return run


def drawn(rows: int, seed: int = 0) -> Columns:
    generator = np.random.default_rng(seed)
    return {
        IMAGE: generator.integers(0, 256, (rows, 1, 4, 4), np.uint8),
        "kind": generator.integers(0, 3, rows, np.uint8),
        "width": generator.normal(size=rows).astype(np.float32),
    }


def some_missing(**missing: list[int]) -> dict[str, Columns]:
    """Return three splits of kind and width; of the training rows these have no label."""
    splits = {split: drawn(ROWS, number) for number, split in enumerate(SPLITS)}
    for name, rows in missing.items():
        splits["train"][name][rows] = 255 if name == "kind" else np.nan
    return splits


TASKS: list[Task] = [Classification("kind", classes=3), Regression("width")]


def flat_network(tasks: list[Task]) -> MultiTaskNetwork:
    torch.manual_seed(0)
    backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Tanh())
    return MultiTaskNetwork(backbone, {task.name: torch.nn.Linear(8, task.outputs) for task in tasks})


@pytest.mark.parametrize(
    ("task", "values", "labelled"),
    [
        (Classification("a", classes=3), [0, 255, 2], [True, False, True]),
        (Classification("a", classes=1000), [255, -1, 2], [True, False, True]),
        (Attribute("a"), [255, 1, 0], [False, True, True]),
        (Regression("a"), [0.0, np.nan, -1.0], [True, False, True]),
        (Segmentation("a", classes=4), [[[255, 255]], [[255, 0]], [[3, 1]]], [False, True, True]),
        (Depth("a"), [[[0.0, 0.0]], [[0.0, 2.0]], [[1.0, 1.0]]], [False, True, True]),
        (Normals("a"), [[[[0.0]]] * 3, [[[0.0]], [[-1.0]], [[0.0]]], [[[1.0]]] * 3], [False, True, True]),
    ],
)
def test_every_kind_has_its_mark(task: Task, values: list[Any], labelled: list[bool]) -> None:
    assert task.target is not None and not task.target.wrong(np.array(values)).any()
    assert task.target.labelled(np.array(values)).tolist() == labelled


@pytest.mark.parametrize("resident_bytes", [0, 2**30])
def test_a_batch_says_which_of_its_rows_have_a_label(prepared: Prepare, resident_bytes: int) -> None:
    data = prepared(Given(TASKS, some_missing(kind=[1, 5, 7], width=[0])))
    split = open_prepared(data.directory, resident_bytes).splits["train"]
    order = torch.tensor([7, 1, 0, 3, 5, 2, 4])
    first, second, third = split.batches(order, 3, CPU)
    assert {name: rows.tolist() for name, rows in first.labelled.items()} == {"kind": [2], "width": [0, 1]}
    assert {name: rows.tolist() for name, rows in second.labelled.items()} == {"kind": [0, 2]}
    assert third.labelled == {} and set(third.targets) == {"kind", "width"}
    assert next(iter(split.batches(torch.tensor([1, 5]), 2, CPU))).lacks("kind")
    summary = json.loads((data.directory / "summary.json").read_text())
    assert summary["labelled_rows"] == {"train": {"kind": 9, "width": 11}} and data.incomplete == {"kind", "width"}
    assert "labelled" not in next(iter(data.splits["val"].batches(None, 3, CPU))).labelled


def test_nothing_is_stored_of_labels_that_are_all_there(prepared: Prepare) -> None:
    data = prepared(Given(TASKS, some_missing()))
    names = pa.ipc.open_file(pa.memory_map(str(data.directory / "train.arrow"))).schema.names
    assert names == [IMAGE, "kind", "width"] and data.incomplete == frozenset()
    assert "labelled_rows" not in json.loads((data.directory / "summary.json").read_text())
    assert all(batch.labelled == {} for batch in data.splits["train"].batches(None, 5, CPU))


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_without_any_label_of_a_task_is_refused(prepared: Prepare, split: str) -> None:
    splits = some_missing()
    splits[split]["width"][:] = np.nan
    sentence = rf"split `{split}` has no label of task `width` in any of its 12 rows: give it labels in every split"
    with pytest.raises(UserError, match=sentence):
        prepared(Given(TASKS, splits))


def test_metrics_are_those_of_the_labelled_rows(prepared: Prepare) -> None:
    splits = some_missing()
    kept = {"kind": [0, 3, 4, 8, 11], "width": [2, 5, 6]}
    for name, rows in kept.items():
        splits["val"][name][[row for row in range(ROWS) if row not in rows]] = 255 if name == "kind" else np.nan
    network = flat_network(TASKS)
    data = prepared(Given(TASKS, splits))
    found = evaluate(network, data.splits["val"], TASKS, 4, CPU, "val")
    for task, rows in zip(TASKS, kept.values(), strict=True):
        alone = {split: {name: splits[split][name] for name in (IMAGE, task.name)} for split in SPLITS}
        alone["val"] = {name: column[rows] for name, column in alone["val"].items()}
        alone["train"] = drawn(3) and {name: drawn(3)[name] for name in (IMAGE, task.name)}
        expected = evaluate(network, prepared(Given([task], alone)).splits["val"], [task], 4, CPU, "val")
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_several_datasets_one_per_task_are_one_dataset_with_missing_labels(prepared: Prepare) -> None:
    """Office-Home's form: every row comes from one of the datasets and has the label of its task alone."""
    art, clipart = Classification("art", classes=3), Classification("clipart", classes=4)
    sources = {
        task.name: {split: drawn(size, 10 * number + size) for split, size in (("train", 8), ("val", 5), ("test", 6))}
        for number, task in enumerate((art, clipart))
    }

    def joined(split: str) -> Columns:
        first, second = (source[split] for source in sources.values())
        none = np.full(len(first["kind"]), 255, np.uint8)
        return {
            IMAGE: np.concatenate([first[IMAGE], second[IMAGE]]),
            "art": np.concatenate([first["kind"], none]),
            "clipart": np.concatenate([none, second["kind"]]),
        }

    data = prepared(Given([art, clipart], {split: joined(split) for split in SPLITS}))
    network = flat_network([art, clipart])
    found = evaluate(network, data.splits["test"], [art, clipart], 4, CPU, "test")
    for task in (art, clipart):
        own = {split: {IMAGE: part[IMAGE], task.name: part["kind"]} for split, part in sources[task.name].items()}
        alone = prepared(Given([task], own))
        expected = evaluate(network, alone.splits["test"], [task], 4, CPU, "test")
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)

    mixed, parts = next(iter(data.splits["train"].batches(torch.tensor([0, 9, 3, 12]), 4, CPU))), {}
    for task in (art, clipart):
        rows = mixed.labelled[task.name]
        parts[task.name] = (mixed.inputs[IMAGE][rows], mixed.targets[task.name][rows])
    assert [len(inputs) for inputs, _ in parts.values()] == [2, 2]
    twin = flat_network([art, clipart])
    plain = Choice(name="sgd", options={"momentum": 0.0, "weight_decay": 0.0})
    build_updater(network, [art, clipart], Choice(name="ew"), plain, 0.1, generator=torch.Generator()).step(mixed)
    losses = [task.loss(twin({IMAGE: parts[task.name][0]})[task.name], parts[task.name][1]) for task in (art, clipart)]
    torch.stack(losses).sum().backward()
    optimizer = torch.optim.SGD(twin.parameters(), 0.1)
    optimizer.step()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_rows_with_every_label() -> None:
    inputs = torch.arange(4.0)[:, None, None, None]
    rows: dict[str, Tensor] = {"a": torch.tensor([0, 1, 3]), "b": torch.tensor([1, 2, 3])}
    batch = Batch({IMAGE: inputs}, {name: torch.arange(4) for name in ("a", "b", "c")}, rows)
    assert batch.complete(["a", "b", "c"]).inputs[IMAGE].flatten().tolist() == [1, 3]
    assert batch.complete(["b"]).targets["c"].tolist() == [1, 2, 3]
    assert batch.complete(["c"]) is batch


def test_only_a_trial_of_a_task_with_missing_labels_has_another_key(make_trial: Callable[..., Trial]) -> None:
    plain = make_trial()
    incomplete = Trial(replace(plain.cell, incomplete=True), plain.seed)
    assert incomplete.key != plain.key and "targets" not in plain.cell.identity
    for trial in (plain, incomplete):
        assert Trial.from_json(trial.to_json()) == trial


SMALL = {"train": 60, "val": 9, "test": 9}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["baselines", "sweep"])
def test_a_plan_knows_from_the_prepared_data_whether_labels_are_missing(in_directory: Path, stage: Any) -> None:
    found = {}
    for share in (0.0, 0.2):
        dataset = {"multidigits": {**SMALL, "unlabelled": share}}
        suite = {
            "data": {"dataset": dataset},
            "network": "lenet",
            "training": {"epochs": 1, "batch_size": 8},
            "baselines": {"learning_rates": [0.01], "seeds": [0]},
            "sweep": {"strategy": "grid", "weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
        }  # fmt: skip
        prepare(Choice(name="multidigits", options=dataset["multidigits"]), paths.prepared("digits"))
        Path("params.yaml").write_text(yaml.safe_dump({"active": ["digits"], "suites": {"digits": suite}}))
        plan = open_plan(load_params(Path("params.yaml")), "digits", stage)
        (found[share],) = {cell.incomplete for cell in plan.cells}
    assert found == {0.0: False, 0.2: True}


@pytest.mark.slow
def test_labels_of_multidigits_are_removed_by_share_task_and_seed(tmp_path: Path) -> None:
    fingerprints = []
    for name, share, seed in (("a", 0.8, 0), ("b", 0.8, 0), ("c", 0.2, 0), ("d", 0.8, 1)):
        prepare(Choice(name="multidigits", options={**SMALL, "unlabelled": share, "seed": seed}), tmp_path / name)
        data = open_prepared(tmp_path / name)
        fingerprints.append(data.fingerprint)
        (batch,) = data.splits["train"].batches(None, 60, CPU)
        rows = {task: found.tolist() for task, found in batch.labelled.items()}
        assert {task: len(found) for task, found in rows.items()} == dict.fromkeys(
            ("left", "right", "mass"), round((1 - share) * 60)
        )
        assert rows["left"] != rows["right"] != rows["mass"] != rows["left"]
        assert all(batch.labelled == {} for batch in data.splits["test"].batches(None, 60, CPU))
    assert fingerprints[0] == fingerprints[1] and len(set(fingerprints)) == 3


def test_networks_take_them(digits: PreparedData) -> None:
    """LeNet on MultiDigits with one label in five left: a step of each kind of route."""
    network = create_network(Choice(name="lenet"), digits.tasks, digits.inputs)
    (whole,) = digits.splits["val"].batches(None, 64, CPU)
    batch = replace(whole, labelled={"left": torch.tensor([1, 2]), "mass": torch.tensor([], dtype=torch.long)})
    for name in ("ew", "imtl", "graddrop", "adatask"):
        updater = build_updater(
            network, digits.tasks, Choice(name=name), Choice(name="adam"), 1e-3, generator=torch.Generator()
        )
        updater.step(batch)
        figures = updater.end_epoch()
        assert "train/right/loss" in figures and not any("mass" in figure for figure in figures)
