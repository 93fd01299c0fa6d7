"""Cityscapes in its official layout, at the study's size: 7 classes and inverse depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.files import visible
from mtlsweep.suites.datasets.dataset import DATASETS, Columns, Dataset
from mtlsweep.suites.datasets.readers.downloads import Download, require_downloads
from mtlsweep.suites.datasets.readers.holdout import Seed, Share, compare_with_official, hold_out
from mtlsweep.suites.datasets.readers.images import (
    channels_first,
    read_grey,
    read_rgb,
    require_all,
    require_shape,
    resize_nearest,
    resize_rgb,
)
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.segmentation import Segmentation
from mtlsweep.suites.tasks.target import VOID

OFFICIAL = {"train": 2975, "val": 500}
_PAGE = "www.cityscapes-dataset.com (free account)"

_DOWNLOADS = (
    Download("leftImg8bit/train", "leftImg8bit_trainvaltest.zip (11 GB)", _PAGE),
    Download("gtFine/train", "gtFine_trainvaltest.zip (241 MB)", _PAGE),
    Download("disparity/train", "disparity_trainvaltest.zip (3.5 GB)", _PAGE),
)

INVERSE_DEPTH_SCALE = 1 / 65535
"""Inverse depth of one step of the 16-bit disparity; gives the published range 0 to 0.4922."""


# Official category - 1 of label ids 0 to 33: flat, construction, object, nature, sky, human, vehicle.
_CATEGORIES = (
    *[VOID] * 7,  # unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground
    *[0] * 4,  # road, sidewalk, parking, rail track
    *[1] * 6,  # building, wall, fence, guard rail, bridge, tunnel
    *[2] * 4,  # pole, polegroup, traffic light, traffic sign
    *[3] * 2,  # vegetation, terrain
    4,  # sky
    *[5] * 2,  # person, rider
    *[6] * 8,  # car, truck, bus, caravan, trailer, train, motorcycle, bicycle
)

_IGNORED_IN_EVALUATION = (9, 10, 14, 15, 16, 18, 29, 30)


@dataclass(frozen=True)
class _Scene:
    image: Path
    label: Path
    disparity: Path


@DATASETS.register("cityscapes")
class Cityscapes(Dataset):
    """`leftImg8bit/`, `gtFine/` (labelIds) and `disparity/` as unpacked.

    The official validation split is the test split (the official test labels are not public);
    validation rows are held out of `train`. Images shrink bilinearly, labels and disparity to the
    nearest pixel; disparity keeps its 16 bits, 0 = invalid.

    Options:
        root: directory of the three folders.
        size: height and width.
        ignored_ids: whether pixels of ids that the official evaluation ignores are void, or belong to
            their category.
        val_share, split_seed: share of `train` held out for validation, and the seed of that draw.
    """

    tasks: tuple[Task, ...] = (Segmentation("segmentation", classes=7), Depth("depth", inverse=True))
    scales: Mapping[str, float] = {IMAGE: 1 / 255, "depth": INVERSE_DEPTH_SCALE}

    def __init__(
        self,
        *,
        root: Path = Path("data/raw/cityscapes"),
        size: tuple[int, int] = (128, 256),
        ignored_ids: Literal["void", "category"] = "void",
        val_share: Share = 0.2,
        split_seed: Seed = 0,
    ) -> None:
        require_downloads(root, _DOWNLOADS)
        self._size, self._classes = size, class_of_label_id(ignored_ids)
        official_train, test = _find_scenes(root, "train"), _find_scenes(root, "val")
        found = {"train": len(official_train), "val": len(test)}
        self._warnings = compare_with_official("cityscapes", found, OFFICIAL)
        train, val = hold_out("cityscapes", len(official_train), val_share, split_seed)
        self._scenes = {
            "train": [official_train[row] for row in train],
            "val": [official_train[row] for row in val],
            "test": test,
        }

    def sizes(self) -> Mapping[str, int]:
        return {split: len(scenes) for split, scenes in self._scenes.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        rows = [self._row(scene) for scene in self._scenes[split][start:stop]]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def notes(self) -> Mapping[str, Any]:
        held_out = [scene.image.name.removesuffix("_leftImg8bit.png") for scene in self._scenes["val"]]
        return {"layout": "official", "validation_images_of_train": held_out, "warnings": self._warnings}

    def _row(self, scene: _Scene) -> dict[str, np.ndarray]:
        image, label, disparity = (
            read_rgb(scene.image),
            read_grey(scene.label, bits=8),
            read_grey(scene.disparity, bits=16),
        )
        require_shape(label, image.shape[:2], scene.label, str(scene.image))
        require_shape(disparity, image.shape[:2], scene.disparity, str(scene.image))
        require_all(
            label < len(_CATEGORIES), label, scene.label, "label id", "0 to 33 (labelIds, not trainIds or instanceIds)"
        )
        return {
            IMAGE: channels_first(resize_rgb(image, self._size)),
            "segmentation": self._classes[resize_nearest(label, self._size)],
            "depth": resize_nearest(disparity, self._size),
        }


def class_of_label_id(ignored_ids: Literal["void", "category"]) -> np.ndarray:
    """Return the class (uint8, 255 = void) of each label id 0 to 33."""
    classes = np.array(_CATEGORIES, np.uint8)
    if ignored_ids == "void":
        classes[list(_IGNORED_IN_EVALUATION)] = VOID
    return classes


def _find_scenes(root: Path, split: str) -> list[_Scene]:
    images = sorted(visible((root / "leftImg8bit" / split).glob("*/*_leftImg8bit.png")))
    if not images:
        raise UserError(f"{root / 'leftImg8bit' / split}: there is no <city>/*_leftImg8bit.png.")
    existing = {path for folder in ("gtFine", "disparity") for path in (root / folder / split).glob("*/*.png")}
    scenes = []
    for image in images:
        city, stem = image.parent.name, image.name.removesuffix("_leftImg8bit.png")
        label = root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png"
        disparity = root / "disparity" / split / city / f"{stem}_disparity.png"
        for path in (label, disparity):
            if path not in existing:
                raise UserError(f"{path}: there is no such file, but {image} needs it.")
        scenes.append(_Scene(image, label, disparity))
    return scenes
