"""QM9 from its package: units, split and the form without hydrogens."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.qm9 import ELEMENTS, QM9

pytestmark = pytest.mark.skipif(importlib.util.find_spec("qm9pack") is None, reason="the extra `qm9` is not installed")

COUNTS: dict[str, Any] = {"train": 60, "val": 20, "test": 20}
METHANE_IS_DRAWN = 1097  # the first molecule of the files is among the first of the training split
METHANE = {"alpha": 13.21, "homo": -10549.9, "lumo": 3186.5, "r2": 35.3641, "zpve": 1217.7, "Cv": 6.469, "mu": 0.0}
METHANE_FORMATION = {"U0": -17172.18, "U": -17286.82, "H": -17389.65, "G": -16151.92}


@pytest.fixture(scope="module")
def molecules() -> QM9:
    return QM9(**COUNTS, seed=METHANE_IS_DRAWN)


@pytest.fixture(scope="module")
def heavy() -> QM9:
    return QM9(**COUNTS, seed=METHANE_IS_DRAWN, hydrogens=False)


@pytest.mark.slow
def test_targets_of_methane_are_the_published_ones_in_their_units(molecules: QM9) -> None:
    columns = molecules.rows("train", 0, COUNTS["train"])
    hydrogen, carbon = ELEMENTS.index("H") + 1, ELEMENTS.index("C") + 1
    (row,) = np.flatnonzero((np.sort(columns["atoms"])[:, -5:] == [hydrogen] * 4 + [carbon]).all(axis=1))
    statistics = molecules.notes()["targets"]
    for name, value in {**METHANE, **METHANE_FORMATION}.items():
        found = columns[name][row] * statistics[name]["deviation"] + statistics[name]["mean"]
        assert found == pytest.approx(value, rel=2e-5, abs=1e-4), name


def test_targets_are_standardised_by_the_training_split(molecules: QM9) -> None:
    train = molecules.rows("train", 0, COUNTS["train"])
    for task in molecules.tasks:
        assert train[task.name].mean() == pytest.approx(0, abs=1e-4)
        assert train[task.name].std() == pytest.approx(1, abs=1e-4)


def test_splits_share_no_molecule(molecules: QM9) -> None:
    places = [molecules.rows(split, 0, count)["positions"] for split, count in COUNTS.items()]
    assert len(np.unique(np.concatenate(places), axis=0)) == sum(COUNTS.values())


@pytest.mark.slow
def test_without_hydrogens_heavy_atoms_stay_and_every_hydrogen_is_counted(molecules: QM9, heavy: QM9) -> None:
    with_them, without = molecules.rows("val", 0, 20), heavy.rows("val", 0, 20)
    assert without["atoms"].shape == (20, 9)
    hydrogen = ELEMENTS.index("H") + 1
    for row in range(20):
        kept = with_them["atoms"][row] > hydrogen
        count = kept.sum()
        assert (without["atoms"][row, :count] == with_them["atoms"][row, kept]).all()
        assert (without["positions"][row, :count] == with_them["positions"][row, kept]).all()
        assert without["hydrogens"][row].sum() == (with_them["atoms"][row] == hydrogen).sum()
        assert not without["atoms"][row, count:].any()
    assert all((without[task.name] == with_them[task.name]).all() for task in heavy.tasks)


def test_more_molecules_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match=r"train \+ val \+ test is 200000, and there are 130831 molecules"):
        QM9(train=150_000, val=25_000, test=25_000)


def test_a_damaged_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qm9pack" / "data").mkdir(parents=True)
    (tmp_path / "qm9pack" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"cannot be read .*install `qm9pack` again"):
        QM9(**COUNTS)
