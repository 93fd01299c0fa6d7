"""CelebA: 40 binary attributes of aligned and cropped faces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtlsweep.errors import UserError, nearest
from mtlsweep.files import visible
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Columns, Dataset
from mtlsweep.suites.datasets.readers.downloads import Download, absent
from mtlsweep.suites.datasets.readers.holdout import compare_with_official
from mtlsweep.suites.datasets.readers.images import channels_first, read_rgb, require_shape, resize_rgb
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.tasks.attribute import Attribute

OFFICIAL = {"train": 162_770, "val": 19_867, "test": 19_962}
ALIGNED_SIZE = (218, 178)
_ATTRIBUTES, _PARTITION, _IMAGES = "list_attr_celeba", "list_eval_partition", "img_align_celeba"

_FOLDERS = {
    _ATTRIBUTES: (".", "Anno"),
    _PARTITION: (".", "Eval", "Anno"),
    _IMAGES: (f"Img/{_IMAGES}", f"{_IMAGES}/{_IMAGES}", _IMAGES, f"Img/{_IMAGES}/{_IMAGES}"),
}

_PAGE = "mmlab.ie.cuhk.edu.hk/projects/CelebA.html"

_DOWNLOADS = {
    _IMAGES: Download(f"{_IMAGES}/*.jpg", f"{_IMAGES}.zip (1.4 GB)", _PAGE),
    _ATTRIBUTES: Download(f"{_ATTRIBUTES}.txt", f"{_ATTRIBUTES}.txt (27 MB)", _PAGE),
    _PARTITION: Download(f"{_PARTITION}.txt", f"{_PARTITION}.txt (3 MB)", _PAGE),
}


@DATASETS.register("celeba")
class CelebA(Dataset):
    """One task per attribute; the official train, validation and test splits, joined by file name.

    Layouts: `Anno/ Eval/ Img/img_align_celeba/`, flat, and the doubled
    `img_align_celeba/img_align_celeba`; lists as .txt or as Kaggle's .csv.

    Options:
        root: directory of one of the layouts.
        size: height and width.
        attributes: which attributes to learn, or null for all.
    """

    def __init__(
        self,
        *,
        root: Path = Path("data/raw/celeba"),
        size: tuple[int, int] = (64, 64),
        attributes: tuple[str, ...] | None = None,
    ) -> None:
        self._size = size
        self._images, attribute_file, partition_file = _find(root)
        names, files, values = _read_attributes(attribute_file)
        chosen = _choose(names, attributes, attribute_file)
        self.tasks = tuple(Attribute(names[index]) for index in chosen)
        partition = _read_partition(partition_file)
        missing = [file for file in files if file not in partition]
        if missing:
            raise UserError(
                f"{partition_file}: `{missing[0]}` of {attribute_file} is not in it, and {len(missing) - 1} more are missing; get both files again."
            )
        numbers = np.array([partition[file] for file in files])
        self._files = {
            split: [files[row] for row in np.flatnonzero(numbers == number)] for number, split in enumerate(SPLITS)
        }
        self._values = {split: values[numbers == number][:, chosen] for number, split in enumerate(SPLITS)}
        _require_images(self._images, files)
        self._warnings = compare_with_official("celeba", self.sizes(), OFFICIAL)

    def sizes(self) -> Mapping[str, int]:
        return {split: len(files) for split, files in self._files.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        images = np.stack([self._image(file) for file in self._files[split][start:stop]])
        values = self._values[split][start:stop]
        return {IMAGE: images, **{task.name: values[:, index] for index, task in enumerate(self.tasks)}}

    def notes(self) -> Mapping[str, Any]:
        return {"images": self._images.name, "warnings": self._warnings}

    def _image(self, file: str) -> np.ndarray:
        path = self._images / file
        image = read_rgb(path)
        require_shape(image, (*ALIGNED_SIZE, 3), path, "an aligned and cropped CelebA image")
        return channels_first(resize_rgb(image, self._size))


def _find(root: Path) -> tuple[Path, Path, Path]:
    """Return the folder of images, the list of attributes and that of splits, in any of the layouts."""
    found = {
        _IMAGES: next(
            (root / place for place in _FOLDERS[_IMAGES] if any(visible((root / place).glob("*.jpg")))), None
        ),
        _ATTRIBUTES: _find_list(root, _ATTRIBUTES),
        _PARTITION: _find_list(root, _PARTITION),
    }
    images, attributes, partition = found.values()
    if images is None or attributes is None or partition is None:
        raise absent(root, [_DOWNLOADS[name] for name, path in found.items() if path is None])
    return images, attributes, partition


def _find_list(root: Path, name: str) -> Path | None:
    places = (root / folder / f"{name}{suffix}" for folder in _FOLDERS[name] for suffix in (".txt", ".csv"))
    return next((path for path in places if path.exists()), None)


def _require_images(folder: Path, files: list[str]) -> None:
    there = {path.name for path in folder.iterdir()}
    missing = [file for file in files if file not in there]
    if missing:
        raise UserError(
            f"{folder / missing[0]}: there is no such file, and {len(missing) - 1} more of the list are missing."
        )


def _choose(names: list[str], wanted: tuple[str, ...] | None, path: Path) -> list[int]:
    for name in wanted or ():
        if name not in names:
            raise UserError(
                f"celeba: {path} has no attribute `{name}`{nearest(name, names)} Allowed: {', '.join(names)}."
            )
    return [names.index(name) for name in (wanted if wanted is not None else names)]


def _read_attributes(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Return the names of the attributes, the files, and 0 or 1 for each file and attribute (uint8)."""
    lines = _lines(path)
    if path.suffix == ".csv":
        names, count = next(lines)[1][1:], None
    else:
        _, first = next(lines)
        count = int(first[0]) if len(first) == 1 and first[0].isdecimal() else None
        if count is None:
            raise UserError(f"{path}: line 1 is {' '.join(first)[:60]!r}; expected the number of images.")
        names = next(lines)[1]
    meaning = {"1": 1, "-1": 0, "0": 0}
    files: list[str] = []
    values = bytearray()
    for number, (file, *row) in lines:
        if len(row) != len(names):
            raise UserError(f"{path}: line {number} ({file}) has {len(row)} values; expected {len(names)}.")
        try:
            values.extend([meaning[value] for value in row])
        except KeyError as error:
            raise UserError(f"{path}: line {number} ({file}) has the value {error}; allowed are 1 and -1.") from error
        files.append(file)
    if count is not None and count != len(files):
        raise UserError(
            f"{path}: line 1 says {count} images, but {len(files)} follow: the file is truncated; get it again."
        )
    return names, files, np.frombuffer(bytes(values), np.uint8).reshape(len(files), len(names))


def _read_partition(path: Path) -> dict[str, int]:
    """Return the number of each file's split."""
    partition: dict[str, int] = {}
    for number, row in _lines(path):
        if path.suffix == ".csv" and number == 1:
            continue
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise UserError(f"{path}: line {number} is {' '.join(row)[:60]!r}; expected a file name and 0, 1 or 2.")
        partition[row[0]] = int(row[1])
    return partition


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file ({error.reason} at byte {error.start}); get it again.") from error
    if text.lstrip().startswith("<"):
        raise UserError(f"{path}: an HTML page (an error page of the host, most likely), not the list; get it again.")
    if not text.strip():
        raise UserError(f"{path}: the file is empty; get it again.")
    separator = "," if path.suffix == ".csv" else None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, [field.strip() for field in line.split(separator)]
