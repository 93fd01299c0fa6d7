"""MTAN's preprocessed layout of dense datasets: `{train,val}/{image,label,depth,normal}/{0,1,...}.npy`.

Arrays are HWC in any float or integer type: images in [0, 1] (integers: 0 to 255), labels with -1 void,
depth with 0 invalid, normals with (0, 0, 0) invalid. `val` is the official test split; validation rows
are held out of `train`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.files import visible
from mtlsweep.suites.datasets.dataset import DATASETS, Columns, Dataset
from mtlsweep.suites.datasets.readers.downloads import Download, require_downloads
from mtlsweep.suites.datasets.readers.holdout import Seed, Share, compare_with_official, hold_out
from mtlsweep.suites.datasets.readers.images import channels_first, read_array, require_all, require_shape
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals
from mtlsweep.suites.tasks.segmentation import Segmentation
from mtlsweep.suites.tasks.target import VOID

_PAGE = "the link on MTAN's page, github.com/lorenmt/mtan"
_PARTS = ("train", "val")

ROUNDING = 0.01
"""How far an image or a normal of low precision may lie outside its range."""


class Folder:
    """One of `train` and `val`.

    Args:
        directory: the folder.
        names: for each column the subfolders it may lie in; the first that exists is taken.

    Raises:
        UserError: a subfolder or a numbered file is missing.
    """

    def __init__(self, directory: Path, names: Mapping[str, Sequence[str]]) -> None:
        self._folders = {column: _first_folder(directory, candidates) for column, candidates in names.items()}
        self._count = _count_files(self._folders)
        self._shape = read_array(self._path(IMAGE, 0)).shape[:2]

    def __len__(self) -> int:
        return self._count

    def row(self, number: int, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
        """Return the image and the targets of one row in the types of the store."""
        row = {IMAGE: self._image(number)}
        for task in tasks:
            if isinstance(task, Segmentation):
                row[task.name] = self._label(number, task)
            elif isinstance(task, Depth):
                row[task.name] = self._depth(number, task)
            else:
                row[task.name] = self._normal(number, task)
        return row

    def _path(self, column: str, number: int) -> Path:
        return self._folders[column] / f"{number}.npy"

    def _read(self, column: str, number: int, *channels: int) -> tuple[np.ndarray, Path]:
        path = self._path(column, number)
        array = read_array(path)
        if not channels and array.ndim == 3:
            array = array.squeeze(-1) if array.shape[-1] == 1 else array
        require_shape(array, (*self._shape, *channels), path, f"{self._path(IMAGE, 0)}")
        return array, path

    def _image(self, number: int) -> np.ndarray:
        image, path = self._read(IMAGE, number, 3)
        if image.dtype.kind == "f":
            values = image.astype(np.float32)
            allowed = (values >= -ROUNDING) & (values <= 1 + ROUNDING)
            require_all(allowed, values, path, "value", "0 to 1 in images of a float type")
            image = np.rint(values.clip(0, 1) * 255)
        else:
            require_all((image >= 0) & (image <= 255), image, path, "value", "0 to 255 in images of an integer type")
        return channels_first(image.astype(np.uint8))

    def _label(self, number: int, task: Segmentation) -> np.ndarray:
        label, path = self._read(task.name, number)
        void = (label == -1) | (label == VOID)
        allowed = void | (label >= 0) & (label < task.classes) & (label == np.floor(label))
        require_all(allowed, label, path, "label", f"a whole number from 0 to {task.classes - 1}, or -1 for void")
        return np.where(void, VOID, label).astype(np.uint8)

    def _depth(self, number: int, task: Task) -> np.ndarray:
        depth, path = self._read(task.name, number)
        require_all(np.isfinite(depth) & (depth >= 0), depth, path, "depth", "a positive number, or 0 for invalid")
        return depth.astype(np.float32)

    def _normal(self, number: int, task: Task) -> np.ndarray:
        normal, path = self._read(task.name, number, 3)
        values = normal.astype(np.float32)
        require_all(np.abs(values) <= 1 + ROUNDING, values, path, "normal with a component of", "-1 to 1")
        return channels_first(values.astype(np.float16))


class MTANDataset(Dataset):
    """A dense dataset in MTAN's layout.

    Args:
        name: of the dataset; the draw of validation rows depends on it.
        tasks: segmentation, depth and normals tasks.
        folders: task name -> subfolders its target may lie in.
        val_share: share of `train` that is held out for validation.
        split_seed: seed of that draw.
        official: official counts of `train` and `val`, if any.
    """

    def __init__(
        self,
        name: str,
        tasks: Sequence[Task],
        folders: Mapping[str, Sequence[str]],
        val_share: float,
        split_seed: int,
        official: Mapping[str, int],
    ) -> None:
        self.name, self.tasks = name, tuple(tasks)
        self._folder_names = {IMAGE: (IMAGE,), **folders}
        self._val_share, self._split_seed, self._official = val_share, split_seed, official

    def read(self, root: Path) -> None:
        """Find the files below `root`."""
        self._train, self._test = (Folder(root / split, self._folder_names) for split in ("train", "val"))
        train, val = hold_out(self.name, len(self._train), self._val_share, self._split_seed)
        self._rows = {"train": train, "val": val, "test": np.arange(len(self._test))}
        found = {"train": len(self._train), "val": len(self._test)}
        self._warnings = compare_with_official(self.name, found, self._official)

    def sizes(self) -> Mapping[str, int]:
        return {split: len(rows) for split, rows in self._rows.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        folder = self._test if split == "test" else self._train
        rows = [folder.row(int(number), self.tasks) for number in self._rows[split][start:stop]]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def notes(self) -> Mapping[str, Any]:
        return {"layout": "mtan", "validation_rows_of_train": self._rows["val"].tolist(), "warnings": self._warnings}


@DATASETS.register("cityscapes_mtan")
class CityscapesMTAN(MTANDataset):
    """Cityscapes as MTAN has preprocessed it: 128x256, 7 classes, inverse depth."""

    def __init__(
        self, *, root: Path = Path("data/raw/cityscapes_mtan"), val_share: Share = 0.2, split_seed: Seed = 0
    ) -> None:
        tasks = (Segmentation("segmentation", classes=7), Depth("depth", inverse=True))
        folders = {"segmentation": ("label_7", "label"), "depth": ("depth",)}
        super().__init__("cityscapes_mtan", tasks, folders, val_share, split_seed, {"train": 2975, "val": 500})
        require_downloads(root, [Download(split, "Cityscapes at 128x256 (651 MB)", _PAGE) for split in _PARTS])
        self.read(root)


@DATASETS.register("nyuv2_mtan")
class NYUv2MTAN(MTANDataset):
    """NYUv2 as MTAN has preprocessed it: 288x384, 13 classes, depth in metres, normals."""

    def __init__(
        self, *, root: Path = Path("data/raw/nyuv2_mtan"), val_share: Share = 0.2, split_seed: Seed = 0
    ) -> None:
        super().__init__("nyuv2_mtan", nyuv2_tasks(), NYUV2_FOLDERS, val_share, split_seed, {"train": 795, "val": 654})
        require_downloads(root, [Download(split, "NYUv2 (about 8 GB)", _PAGE) for split in _PARTS])
        self.read(root)


NYUV2_FOLDERS = {"segmentation": ("label",), "depth": ("depth",), "normals": ("normal",)}


def nyuv2_tasks() -> tuple[Task, ...]:
    """Return the three tasks of NYUv2."""
    return (Segmentation("segmentation", classes=13), Depth("depth"), Normals("normals"))


def _first_folder(directory: Path, candidates: Sequence[str]) -> Path:
    for name in candidates:
        if (directory / name).is_dir():
            return directory / name
    raise UserError(f"{directory}: there is no folder {' or '.join(f'`{name}`' for name in candidates)}.")


def _count_files(folders: Mapping[str, Path]) -> int:
    """Count the rows; every folder must hold 0.npy, 1.npy, ... without a gap, and equally many."""
    numbers: dict[Path, set[int]] = {}
    for folder in folders.values():
        stems = [path.stem for path in visible(folder.glob("*.npy"))]
        unknown = [stem for stem in stems if not stem.isdecimal()]
        if unknown:
            raise UserError(f"{folder / unknown[0]}.npy: allowed names are 0.npy, 1.npy, and so on.")
        numbers[folder] = {int(stem) for stem in stems}
    count = 1 + max((number for found in numbers.values() for number in found), default=0)
    for folder, found in numbers.items():
        missing = set(range(count)) - found
        if missing:
            raise UserError(
                f"{folder / str(min(missing))}.npy: there is no such file, and {len(missing) - 1} more are missing."
            )
    return count
