"""MultiDigits: real digits, none of them in two splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS
from mtlsweep.suites.datasets.multidigits import MultiDigits, _enlarged_digits
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared

SMALL = {"train": 60, "val": 20, "test": 30}


def test_no_source_digit_serves_two_splits() -> None:
    dataset = MultiDigits(**SMALL)
    sources = np.concatenate([dataset._sources[split] for split in SPLITS])
    assert len(sources) == len(set(sources.tolist())) == 1797


def test_mass_is_the_ink_of_the_left_digit_in_standard_deviations() -> None:
    dataset = MultiDigits(train=400, val=20, test=30)
    columns, notes = dataset.rows("train", 0, 400), dataset.notes()
    assert columns["mass"].mean() == pytest.approx(0, abs=1e-5)
    assert columns["mass"].std() == pytest.approx(1, abs=1e-5)
    digits, classes = _enlarged_digits()
    ink_of_digits = digits.sum(axis=(1, 2), dtype=float) / 255
    for mass, left in zip(columns["mass"], columns["left"], strict=True):
        distance = np.abs(ink_of_digits - (mass * notes["mass_standard_deviation"] + notes["mass_mean"]))
        assert left in classes[distance < 1e-3]


def test_target_scale_scales_the_mass_alone() -> None:
    plain, scaled = MultiDigits(**SMALL).rows("val", 0, 20), MultiDigits(**SMALL, target_scale=10.0).rows("val", 0, 20)
    np.testing.assert_allclose(scaled["mass"], 10 * plain["mass"], rtol=1e-6)
    assert all(np.array_equal(scaled[name], plain[name]) for name in (IMAGE, "left", "right"))


@pytest.mark.slow
def test_same_seed_same_data_and_another_seed_other_data(tmp_path: Path) -> None:
    fingerprints = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(Choice(name="multidigits", options={**SMALL, "seed": seed}), tmp_path / name)
        fingerprints.append(open_prepared(tmp_path / name).fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_default_data_is_pinned() -> None:
    """The same images on every machine: Pillow resizes 8-bit images in exact integers."""
    images = MultiDigits(**SMALL).rows("train", 0, 60)[IMAGE]
    assert images.shape == (60, 1, 36, 36)
    assert int(images.sum(dtype=np.int64)) == 5724294


def test_the_contact_sheet_is_a_picture(tmp_path: Path) -> None:
    prepare(Choice(name="multidigits", options=SMALL), tmp_path / "digits")
    with Image.open(tmp_path / "digits" / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 100


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(UserError, match="option `val` is 0"):
        DATASETS.resolve(Choice(name="multidigits", options={"val": 0}))
