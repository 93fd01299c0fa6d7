"""Inputs of any shape and number: stored, padded, given to a network, and refused in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params
from mtlsweep.report.data import data_section
from mtlsweep.suites.datasets.dataset import Dataset, Given
from mtlsweep.suites.inputs import Feature, InputShape
from mtlsweep.suites.networks import MultiTaskNetwork, create_network
from mtlsweep.suites.prepared import arrow_files
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import PreparedData, open_prepared
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.sweep.plan.plan import open_plan

CPU = torch.device("cpu")
LONGEST = 7
ROWS = {"train": 700, "val": 5, "test": 300}
CHOICE = Choice(name=f"{__name__}:Molecules")


class Molecules(Dataset):
    """A ragged input, a matrix, and a row of a table with a category."""

    tasks: Sequence[Task] = (Regression("energy"), Classification("kind", classes=2))
    inputs: Sequence[str] = ("atoms", "matrix", "row")
    padded: Mapping[str, int] = {"atoms": LONGEST}
    features: Mapping[str, Sequence[Feature]] = {"row": (Feature("age"), Feature("plan", categories=3))}
    scales: Mapping[str, float] = {}

    def __init__(self, *, longest: int = LONGEST, categories: int = 3) -> None:
        self._longest, self._categories = longest, categories

    def sizes(self) -> Mapping[str, int]:
        return ROWS

    def rows(self, split: str, start: int, stop: int) -> Given:
        return {name: column[start:stop] for name, column in content(split, self._longest, self._categories).items()}


def content(split: str, longest: int = LONGEST, categories: int = 3) -> Given:
    generator = np.random.default_rng(len(split))
    rows = ROWS[split]
    plan = generator.integers(0, categories, rows)
    return {
        "atoms": [generator.normal(size=(length, 2)).astype(np.float32) for length in 1 + np.arange(rows) % longest],
        "matrix": generator.integers(-9, 9, (rows, 2, 2, 2)).astype(np.int16),
        "row": np.stack([generator.normal(size=rows), plan], axis=1).astype(np.float32),
        "energy": generator.normal(size=rows).astype(np.float32),
        "kind": (plan > 0).astype(np.uint8),
    }


class Sums(MultiTaskNetwork):
    """Takes two of the inputs, in its own order."""

    inputs = ("atoms_length", "atoms")

    def __init__(self, tasks: Sequence[Task], lengths: InputShape, atoms: InputShape, *, width: int = 4) -> None:
        assert (lengths, atoms) == ((), (LONGEST, 2))
        super().__init__(_Mean(atoms[1], width), {task.name: nn.Linear(width, task.outputs) for task in tasks})


class _Mean(nn.Module):
    def __init__(self, numbers: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(numbers, width)

    def forward(self, lengths: Tensor, atoms: Tensor) -> Tensor:
        mean: Tensor = self.layer(atoms).sum(dim=1) / lengths[:, None]
        return mean


class Curve(MultiTaskNetwork):
    """Takes an input that no dataset here has."""

    inputs = ("signal",)


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this file importable by the names that params give."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__(__name__))


@pytest.fixture
def prepared(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedData:
    monkeypatch.setattr(arrow_files, "BATCH_ROWS", (64, 64))  # several record batches
    prepare(CHOICE, Path("data/prepared/molecules"))
    return open_prepared(Path("data/prepared/molecules"))


def study(network: str, augmentation: str = "none") -> Params:
    suite = {
        "data": {"dataset": CHOICE.name},
        "network": network,
        "training": {"epochs": 1, "batch_size": 32, "augmentation": augmentation},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": {"weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
    }
    return Params.model_validate({"active": ["molecules"], "suites": {"molecules": suite}})


@pytest.mark.parametrize("resident_bytes", [0, 2**30])
def test_a_batch_holds_every_input_as_it_was_given(prepared: PreparedData, resident_bytes: int) -> None:
    split = open_prepared(prepared.directory, resident_bytes).splits["train"]
    order = torch.randperm(700, generator=torch.Generator().manual_seed(0))
    given = content("train")
    batches = list(split.batches(order, 64, CPU))
    found = {name: torch.cat([batch.inputs[name] for batch in batches]) for name in batches[0].inputs}
    assert list(found) == ["atoms", "matrix", "row", "atoms_length"] and len(batches[0]) == 64
    np.testing.assert_array_equal(found["matrix"], np.asarray(given["matrix"])[order])
    np.testing.assert_array_equal(found["row"], np.asarray(given["row"])[order])
    assert found["matrix"].dtype == torch.int64 and found["atoms_length"].dtype == torch.int64
    for row, number in enumerate(order.tolist()):
        length = len(given["atoms"][number])
        assert found["atoms_length"][row] == length and not found["atoms"][row, length:].any()
        np.testing.assert_array_equal(found["atoms"][row, :length], given["atoms"][number])


def test_prepared_data_knows_its_inputs(prepared: PreparedData) -> None:
    assert prepared.inputs == {"atoms": (7, 2), "matrix": (2, 2, 2), "row": (2,), "atoms_length": ()}
    assert prepared.inputs["row"].features == (Feature("age"), Feature("plan", categories=3))


def test_a_network_is_given_the_inputs_that_it_takes(prepared: PreparedData) -> None:
    network = create_network(Choice(name=f"{__name__}:Sums", options={"width": 3}), prepared.tasks, prepared.inputs)
    (batch,) = prepared.splits["val"].batches(None, 8, CPU)
    outputs = network(batch.inputs)
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {"energy": (5, 1), "kind": (5, 2)}


@pytest.mark.parametrize("is_prepared", [True, False])
def test_a_plan_refuses_a_network_whose_inputs_are_not_there(
    request: pytest.FixtureRequest, in_directory: Path, is_prepared: bool
) -> None:
    if is_prepared:
        request.getfixturevalue("prepared")
    assert open_plan(study(f"{__name__}:Sums"), "molecules", "sweep").trials
    for network, wants in ((f"{__name__}:Curve", "signal"), ("lenet", "image")):
        with pytest.raises(UserError) as refusal:
            open_plan(study(network), "molecules", "sweep")
        assert str(refusal.value) == (
            f"params.yaml: `suites.molecules.network`: network `{network}` takes `{wants}`, but the data has no `{wants}`; its "
            "inputs are `atoms`, `atoms_length`, `matrix` and `row`: choose a network that takes these, or one of your own."
        )
    with pytest.raises(UserError, match="augmentation` is `geometric`, but the data has no input `image`"):
        open_plan(study(f"{__name__}:Sums", "geometric"), "molecules", "sweep")


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("padded", {"atoms": 6}, "column `atoms` of split `train`, row 6, has length 7; allowed: up to 6"),
        ("inputs", ("atoms", "matrix"), "dataset columns of split `train` are .*; expected: "),
        ("inputs", (), "dataset inputs are \\[\\]: give at least one input"),
        ("inputs", ("atoms", "matrix", "row", "kind"), "task `kind` has the name of an input column: rename the task"),
        ("features", {"row": (Feature("age"),)}, "`row` of split `train` has the shape \\[1, 2\\]; allowed: \\[rows, 1\\]"),
        ("features", {"row": (Feature("age"), Feature("plan", 2))}, "holds 2.0 in row .*; allowed: 0 to 1 for `plan`"),
    ],
)  # fmt: skip
def test_columns_that_are_not_what_the_dataset_says_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, message: str
) -> None:
    monkeypatch.setattr(Molecules, attribute, value)
    with pytest.raises(UserError, match=message):
        prepare(CHOICE, tmp_path / "molecules")


@pytest.mark.slow
def test_what_the_numbers_of_a_row_are_belongs_to_the_fingerprint(
    prepared: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Molecules, "features", {"row": (Feature("age"), Feature("plan", categories=4))})
    prepare(CHOICE, tmp_path / "other")
    assert open_prepared(tmp_path / "other").fingerprint != prepared.fingerprint


def test_data_without_images_has_a_summary_of_its_columns_on_the_page(prepared: PreparedData) -> None:
    assert not (prepared.directory / "contact_sheet.png").exists()
    entries = {
        (entry["column"], entry["feature"]): entry
        for entry in json.loads((prepared.directory / "columns.json").read_text())
    }
    given = content("train")
    age = np.asarray(given["row"])[:, 0]
    assert entries["row", "age"]["mean"] == pytest.approx(float(age.mean()), abs=1e-6)
    assert entries["row", "age"]["maximum"] == age.max()
    counts = np.bincount(np.asarray(given["row"])[:, 1].astype(int)).tolist()
    assert entries["row", "plan"]["histogram"] == [[v - 0.5, v + 0.5, count] for v, count in enumerate(counts)]
    assert entries["atoms", ""]["values"] == sum(2 * len(one) for one in given["atoms"]), (
        "what is filled in does not count"
    )
    section = data_section(prepared.directory)
    assert section is not None and len(section.tables[0].rows) == len(entries) == 7
    assert len(section.figures[0].specifications) == 7


def test_images_have_no_such_summary(digits: PreparedData) -> None:
    assert data_section(digits.directory) is None and not (digits.directory / "columns.json").exists()
