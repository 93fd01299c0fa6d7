"""Corrupted images: the same bytes everywhere, in any order, by any number of processes."""

import hashlib
import importlib.metadata
import sys
import warnings

import numpy as np
import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.studies.robustness import corruptions
from mtlsweep.studies.robustness.corrupted_sets import (
    ChosenRows,
    CorruptedSets,
    as_bytes,
    corrupted_test_set,
    corrupted_training_set,
    corrupting_pool,
    evenly_spaced,
)
from mtlsweep.studies.robustness.corruptions import CORRUPTIONS, corrupt, library_version, resolve_corruptions

pytest.importorskip("imagecorruptions")
CPU = torch.device("cpu")

GOLDEN = {
    (1, 36, 36): {
        "gaussian_noise": "33d55b59a472cf1d",
        "shot_noise": "c331730f8fd322c8",
        "impulse_noise": "69e33b9095ef65ac",
        "defocus_blur": "707c341c5397fb65",
        "glass_blur": "ff2d82fb92b713c4",
        "zoom_blur": "8763fe8ec12ebe8e",
        "snow": "e320aa445a07c0ee",
        "frost": "943a440fd41490f5",
        "fog": "9f16254af984fedd",
        "brightness": "f8065fe9fd165e93",
        "contrast": "a6da35f033499e26",
        "elastic_transform": "0114f997bf36ad0d",
        "pixelate": "e325566d49bdf2df",
        "jpeg_compression": "a955df4b7575ba1c",
    },
    (3, 40, 48): {
        "gaussian_noise": "69404f805d5fe0a4",
        "shot_noise": "1279d22a120f161b",
        "impulse_noise": "e275a3364e5b3cf3",
        "defocus_blur": "aedf9ec9a0d65529",
        "glass_blur": "2047a00b652a3dbe",
        "zoom_blur": "79a67059ef7f6944",
        "snow": "2e458835946a2286",
        "frost": "cfdb5a6008c2099f",
        "fog": "2bef396618294948",
        "brightness": "b6f1d3bcd81feb32",
        "contrast": "1f85f454cfc512f9",
        "elastic_transform": "f5016ca021140639",
        "pixelate": "d698728877b69851",
        "jpeg_compression": "c072f355af7e897f",
    },
}


MOTION_BLUR = {  # mean grey level of each severity: OpenCV's filters round differently from processor to processor
    (1, 36, 36): [124.215, 124.294, 123.318, 125.850, 122.559],
    (3, 40, 48): [126.862, 126.846, 125.501, 124.714, 123.786],
}


def picture(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.skipif(library_version() != "1.1.5", reason="hashes are those of version 1.1.5")
@pytest.mark.parametrize("shape", GOLDEN)
def test_golden_hashes_of_every_corruption_over_its_five_severities(shape):
    images = np.stack([picture(shape)] * 5)
    found = {}
    for name in CORRUPTIONS:
        corrupted = corrupt(images, [name] * 5, [1, 2, 3, 4, 5], [11, 12, 13, 14, 15])
        assert corrupted.shape == images.shape and corrupted.dtype == np.uint8
        assert len({image.tobytes() for image in corrupted}) == 5  # severities differ
        if name == "motion_blur":
            assert corrupted.mean(axis=(1, 2, 3)) == pytest.approx(MOTION_BLUR[shape], abs=0.1)
        else:
            found[name] = hashlib.sha256(corrupted.tobytes()).hexdigest()[:16]
    assert found == GOLDEN[shape]


@pytest.mark.slow
def test_an_image_is_corrupted_alike_alone_and_among_others_and_numpys_state_is_left_alone():
    images = np.stack([picture((1, 36, 36)), 255 - picture((1, 36, 36))])
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    for name in ("gaussian_noise", "glass_blur", "impulse_noise", "frost"):
        together = corrupt(images, [name] * 2, [3, 3], [7, 8])
        alone = corrupt(images[1:], [name], [3], [8])
        np.testing.assert_array_equal(together[1:], alone)
        assert not np.array_equal(corrupt(images[1:], [name], [3], [9]), alone)
    assert np.random.random() == expected


def test_names_are_checked_and_none_means_all():
    assert resolve_corruptions(()) == CORRUPTIONS and len(CORRUPTIONS) == 15
    with pytest.raises(UserError, match="did you mean `fog`"):
        resolve_corruptions(("fogg",))


def test_rows_without_other_images_are_those_of_the_split(digits):
    rows = evenly_spaced(len(digits.splits["test"]), 10)
    chosen = ChosenRows(digits.splits["test"], rows)
    batches = list(chosen.batches(None, 4, CPU))
    assert [len(batch) for batch in batches] == [4, 4, 2] and len(chosen) == 10
    (whole,) = digits.splits["test"].batches(None, 64, CPU)
    assert torch.equal(torch.cat([batch.inputs["image"] for batch in batches]), whole.inputs["image"][rows])
    assert torch.equal(torch.cat([batch.targets["left"] for batch in batches]), whole.targets["left"][rows])


def test_bytes_of_an_image_are_the_stored_ones_and_other_values_are_an_error(digits):
    (batch,) = digits.splits["test"].batches(None, 64, CPU)
    images = batch.inputs["image"]
    assert torch.equal(torch.from_numpy(as_bytes(images)).float().mul_(1 / 255), images)
    with pytest.raises(UserError, match="from 0 to 1"):
        as_bytes(images - 0.5)


def test_a_set_is_made_once_and_kept_with_its_targets(digits, tmp_path):
    sets = CorruptedSets(digits, 0, None, tmp_path)
    spec = corrupted_test_set(evenly_spaced(64, 12), "contrast", 4)
    (first,) = sets.get(spec).batches(None, 12, CPU)
    (file,) = sets.directory.glob("*")
    made = file.stat().st_mtime_ns
    order = torch.arange(11, -1, -1)
    (again,) = sets.get(spec).batches(order, 12, CPU)
    assert torch.equal(again.inputs["image"], first.inputs["image"][order]) and torch.equal(
        again.targets["left"], first.targets["left"][order]
    )
    assert file.stat().st_mtime_ns == made and float(first.inputs["image"].max()) <= 1
    sets.drop(spec)
    assert not file.exists()


@pytest.mark.slow
def test_processes_and_parts_change_no_byte(digits, tmp_path, monkeypatch):
    spec = corrupted_training_set(evenly_spaced(256, 20), ("gaussian_noise", "frost"), (1, 5), 0, 1)
    alone = CorruptedSets(digits, 0, None, tmp_path / "alone")
    alone.get(spec)
    monkeypatch.setattr("mtlsweep.studies.robustness.corrupted_sets._PART_BYTES", 3 * 36 * 36)
    with corrupting_pool(2) as executor:
        shared = CorruptedSets(digits, 0, executor, tmp_path / "shared")
        shared.get(spec)
    (one,), (other,) = alone.directory.glob("*.npy"), shared.directory.glob("*.npy")
    assert one.read_bytes() == other.read_bytes()


def test_a_stop_in_the_middle_leaves_no_set(digits, tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("mtlsweep.studies.robustness.corrupted_sets.corrupt", fail)
    sets = CorruptedSets(digits, 0, None, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        sets.get(corrupted_test_set(evenly_spaced(64, 4), "contrast", 4))
    assert list(sets.directory.iterdir()) == []


def test_training_images_meet_every_corruption_and_other_ones_in_another_epoch():
    rows = torch.arange(400)
    one, other = (corrupted_training_set(rows, CORRUPTIONS, (1, 2, 3, 4, 5), 0, epoch) for epoch in (1, 2))
    assert len(set(zip(one.names, one.severities, strict=True))) > 70 and one.names != other.names
    assert corrupted_training_set(rows, CORRUPTIONS, (1, 2, 3, 4, 5), 0, 1).names == one.names


def test_images_that_the_library_does_not_take_are_an_error(digits):
    class Small:
        inputs, directory = {"image": (1, 16, 64)}, "data/prepared/small"

    with pytest.raises(UserError, match="at least 32 pixels"):
        CorruptedSets(Small(), 0, None)  # type: ignore[arg-type]  # a stand-in


def test_an_opencv_that_does_not_load_is_an_error_that_says_what_to_do(monkeypatch):
    corruptions._library.cache_clear()
    monkeypatch.setitem(sys.modules, "cv2", None)  # as on a machine without libGL, where importing it fails
    with pytest.raises(
        UserError, match=r"cannot load OpenCV \(.*cv2.*\): run `pip uninstall --yes opencv-python && pip"
    ):
        corrupt(np.zeros((1, 3, 32, 32), np.uint8), ["fog"], [1], [0])


def test_there_is_one_opencv_and_it_needs_no_screen():
    names = (one.metadata["Name"] for one in importlib.metadata.distributions())
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}


@pytest.mark.slow
def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corrupt(np.stack([picture((1, 36, 36))] * 15), CORRUPTIONS, [3] * 15, range(15))
