"""MultiDigits: two real handwritten digits in one image, from the digits bundled with scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field
from sklearn.datasets import load_digits

from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Columns, Dataset
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.suites.tasks.target import VOID

DIGIT_SIZE = 28
IMAGE_SIZE = 36
JITTER = 4
Count = Annotated[int, Field(ge=1)]


@DATASETS.register("multidigits")
class MultiDigits(Dataset):
    """Three tasks that compete: the left digit, the right digit, and the ink (`mass`) of the left one.

    Two of the 1797 8x8 digits are enlarged to 28x28 (bicubic) and overlaid by pixel maximum at the top
    left and the bottom right of a 36x36 image, each moved by 0 to 4 pixels. No source digit is in two
    splits. `mass` is z-scored with the training split's mean and standard deviation, then multiplied by
    `target_scale`, to give the losses different scales on purpose. `unlabelled` is the share of training rows whose
    label is removed, drawn for each task by itself; validation and test keep all labels.
    """

    tasks: tuple[Task, ...] = (
        Classification("left", classes=10),
        Classification("right", classes=10),
        Regression("mass"),
    )

    def __init__(
        self,
        *,
        train: Count = 6000,
        val: Count = 1000,
        test: Count = 2000,
        seed: Annotated[int, Field(ge=0)] = 0,
        target_scale: Annotated[float, Field(gt=0)] = 1.0,
        unlabelled: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        digits, classes = _enlarged_digits()
        counts = {"train": train, "val": val, "test": test}
        self._sources = _source_digits(len(digits), seed)
        self._splits = {}
        for number, (split, count) in enumerate(counts.items()):
            generator = np.random.default_rng([seed, number])
            self._splits[split] = _compose(
                digits, classes, generator.choice(self._sources[split], (count, 2)), generator
            )
        ink = self._splits["train"]["mass"]
        # Rounded, so that the last bit of a sum cannot change the fingerprint from machine to machine.
        self._mean, self._deviation = round(float(ink.mean()), 6), round(float(ink.std()), 6)
        for columns in self._splits.values():
            scored = (columns["mass"] - self._mean) / self._deviation * target_scale
            columns["mass"] = scored.astype(np.float32)
        for number, (task, mark) in enumerate((("left", VOID), ("right", VOID), ("mass", np.nan))):
            generator = np.random.default_rng([seed, len(SPLITS) + 1, number])
            self._splits["train"][task][generator.permutation(train)[: round(unlabelled * train)]] = mark

    def sizes(self) -> Mapping[str, int]:
        return {split: len(columns[IMAGE]) for split, columns in self._splits.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        return {name: column[start:stop] for name, column in self._splits[split].items()}

    def notes(self) -> Mapping[str, Any]:
        return {
            "source": "scikit-learn load_digits",
            "source_digits": {split: len(self._sources[split]) for split in SPLITS},
            "mass_mean": self._mean,
            "mass_standard_deviation": self._deviation,
        }


def _enlarged_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the digits [1797, 28, 28] and their classes, both uint8."""
    bunch = load_digits()
    small = np.round(bunch.images * (255 / 16)).astype(np.uint8)  # 8 bits: Pillow then resizes in exact integers
    size = (DIGIT_SIZE, DIGIT_SIZE)
    large = [np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BICUBIC)) for digit in small]
    return np.stack(large), bunch.target.astype(np.uint8)


def _source_digits(count: int, seed: int) -> dict[str, np.ndarray]:
    """Split the source digits 70 : 10 : 20 at random."""
    order = np.random.default_rng([seed, len(SPLITS)]).permutation(count)
    train, val, test = np.split(order, [round(0.7 * count), round(0.8 * count)])
    return {"train": train, "val": val, "test": test}


def _compose(digits: np.ndarray, classes: np.ndarray, pairs: np.ndarray, generator: np.random.Generator) -> Columns:
    images = np.zeros((len(pairs), 1, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    shifts = generator.integers(0, JITTER + 1, (len(pairs), 2, 2))
    corner = IMAGE_SIZE - DIGIT_SIZE
    for image, (left, right), shift in zip(images[:, 0], pairs, shifts, strict=True):
        for digit, (y, x) in ((left, shift[0]), (right, corner - shift[1])):
            window = image[y : y + DIGIT_SIZE, x : x + DIGIT_SIZE]
            np.maximum(window, digits[digit], out=window)
    ink = digits[pairs[:, 0]].sum(axis=(1, 2), dtype=np.int64) / 255
    return {IMAGE: images, "left": classes[pairs[:, 0]], "right": classes[pairs[:, 1]], "mass": ink}
