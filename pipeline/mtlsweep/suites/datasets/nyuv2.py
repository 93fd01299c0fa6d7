"""NYUv2 in its official form: the labelled .mat file, the split and the class mapping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import DATASETS, Columns, Dataset
from mtlsweep.suites.datasets.mtan import ROUNDING, nyuv2_tasks
from mtlsweep.suites.datasets.readers.downloads import Download, require_downloads
from mtlsweep.suites.datasets.readers.holdout import Seed, Share, compare_with_official, hold_out
from mtlsweep.suites.datasets.readers.images import (
    channels_first,
    read_array,
    read_rgb,
    require_all,
    require_shape,
    resize_nearest,
    resize_rgb,
)
from mtlsweep.suites.datasets.readers.matlab import LabeledMat, read_variable
from mtlsweep.suites.datasets.readers.normals_from_depth import normals_from_depth
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.tasks.target import VOID

LABELED = "nyu_depth_v2_labeled.mat"
SPLITS_MAT, CLASSES_MAT, NORMALS = "splits.mat", "classMapping40.mat", "normals"
_PAGE = "cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html"

_DOWNLOADS = (
    Download(LABELED, f"{LABELED} (2.8 GB)", _PAGE),
    Download(SPLITS_MAT, f"{SPLITS_MAT} (3 kB)", _PAGE),
    Download(CLASSES_MAT, f"{CLASSES_MAT} (a few kB)", "the code of Gupta et al. 2013, github.com/s-gupta/rcnn-depth"),
)

OFFICIAL = {"train": 795, "test": 654}
FLOOR = 4

UPRIGHT = 0.5
"""Smallest mean of a floor's upward normal component; a level floor has 1, a wrong sign gives less than 0."""


# 40 classes (1-based) to 13 (1-based): bed, books, ceiling, chair, floor, furniture, objects, picture, sofa,
# table, tv, wall, window.
_THIRTEEN_OF_FORTY = (
    *(12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5),
    *(7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7),
)


@DATASETS.register("nyuv2")
class NYUv2(Dataset):
    """1449 labelled frames: 13 classes, depth in metres, normals with x right, y up, z towards the viewer.

    Options:
        root: directory of `nyu_depth_v2_labeled.mat`, `splits.mat` and `classMapping40.mat`.
        size: height and width.
        normal_source: `files` reads `normals/<frame>.npy` (float, 640x480 frames as 480x640x3, (0, 0, 0)
            invalid) or `.png` (8 bits, n = rgb / 127.5 - 1, black invalid), frames numbered from 0 as in
            the .mat file; `from_depth` computes them from the depth.
        normal_signs: factors of 1 or -1 that turn the files' axes into the above. Published archives
            differ; floors that do not look upwards are refused.
        val_share, split_seed: share of the training frames held out for validation, and the seed of that draw.
    """

    tasks = nyuv2_tasks()

    def __init__(
        self,
        *,
        root: Path = Path("data/raw/nyuv2"),
        size: tuple[int, int] = (288, 384),
        normal_source: Literal["files", "from_depth"] = "from_depth",
        normal_signs: tuple[Literal[-1, 1], Literal[-1, 1], Literal[-1, 1]] = (1, 1, 1),
        val_share: Share = 0.2,
        split_seed: Seed = 0,
    ) -> None:
        require_downloads(root, _DOWNLOADS)
        if normal_source == "files" and not (root / NORMALS).is_dir():
            raise UserError(
                f"nyuv2: {root / NORMALS} is missing: put ground-truth normals there as <frame>.npy or .png, "
                f"or choose `normal_source: from_depth`."
            )
        self._root, self._size, self._normal_source = root, size, normal_source
        self._normal_signs = np.array(normal_signs, np.float32)
        self._frames = LabeledMat(root / LABELED)
        self._classes = _class_of_label(root / CLASSES_MAT)
        official_train, test = (
            _split_frames(root / SPLITS_MAT, name, len(self._frames)) for name in ("trainNdxs", "testNdxs")
        )
        found = {"train": len(official_train), "test": len(test)}
        self._warnings = compare_with_official("nyuv2", found, OFFICIAL)
        train, val = hold_out("nyuv2", len(official_train), val_share, split_seed)
        self._rows = {"train": official_train[train], "val": official_train[val], "test": test}

    def begin(self, workspace: Path) -> None:
        """Check on ten training frames that floors look upwards.

        Raises:
            UserError: they do not.
        """
        frames = self._rows["train"][:: max(1, len(self._rows["train"]) // 10)]
        upward: list[np.ndarray] = []
        for frame in frames:
            label, (_, depth) = self._label(frame), self._frames.image_and_depth(frame)
            normals = self._normals(frame, depth)
            upward.append(normals[1][(label == FLOOR) & normals.any(axis=0)])
        values = np.concatenate(upward)
        if values.size and values.mean() < UPRIGHT:
            raise UserError(
                f"nyuv2: the mean upward component of floor normals is {values.mean():.2f}, and should be above {UPRIGHT}: "
                f"set `normal_signs` (now {self._normal_signs.astype(int).tolist()}), such as [1, -1, 1]."
            )

    def sizes(self) -> Mapping[str, int]:
        return {split: len(rows) for split, rows in self._rows.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        rows = [self._row(int(frame)) for frame in self._rows[split][start:stop]]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def notes(self) -> Mapping[str, Any]:
        return {
            "layout": "official",
            "normal_source": self._normal_source,
            "validation_frames": self._rows["val"].tolist(),
            "warnings": self._warnings,
        }

    def _row(self, frame: int) -> dict[str, np.ndarray]:
        image, depth = self._frames.image_and_depth(frame)
        normals = self._normals(frame, depth).transpose(1, 2, 0)
        return {
            IMAGE: channels_first(resize_rgb(image, self._size)),
            "segmentation": resize_nearest(self._label(frame), self._size),
            "depth": resize_nearest(depth, self._size),
            "normals": channels_first(resize_nearest(normals, self._size).astype(np.float16)),
        }

    def _label(self, frame: int) -> np.ndarray:
        label, place = self._frames.label(frame), self._frames.place("labels", frame)
        require_all(label < len(self._classes), label, place, "label", f"0 to {len(self._classes) - 1}")
        classes: np.ndarray = self._classes[label]
        return classes

    def _normals(self, frame: int, depth: np.ndarray) -> np.ndarray:
        """Return normals [3, H, W] at full size."""
        if self._normal_source == "from_depth":
            return normals_from_depth(depth)
        path = self._root / NORMALS / f"{frame}.npy"
        if path.exists():
            normals = read_array(path).astype(np.float32)
        else:
            colours = read_rgb(path.with_suffix(".png"))
            normals = np.where(colours.any(axis=-1, keepdims=True), colours / np.float32(127.5) - 1, np.float32(0))
        require_shape(normals, (*depth.shape, 3), path, "the frame's depth")
        require_all(np.abs(normals) <= 1 + ROUNDING, normals, path, "normal with a component of", "-1 to 1")
        return channels_first(normals * self._normal_signs)


def _class_of_label(path: Path) -> np.ndarray:
    """Return the class (uint8, 255 = void) of each label 0 to 894."""
    forty = read_variable(path, "mapClass").ravel().astype(int)
    if forty.min() < 1 or forty.max() > 40:
        raise UserError(f"{path}: `mapClass` goes from {forty.min()} to {forty.max()}; allowed is 1 to 40.")
    thirteen = np.array(_THIRTEEN_OF_FORTY, np.uint8)[forty - 1] - 1
    return np.concatenate([np.array([VOID], np.uint8), thirteen.astype(np.uint8)])


def _split_frames(path: Path, name: str, frames: int) -> np.ndarray:
    """Return the frames, counted from 0, of one official split."""
    numbers = read_variable(path, name).ravel().astype(int)
    if numbers.min() < 1 or numbers.max() > frames:
        raise UserError(f"{path}: `{name}` names frames {numbers.min()} to {numbers.max()}; there are {frames}.")
    result: np.ndarray = numbers - 1
    return result
