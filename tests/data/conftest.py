"""Writers of small datasets in each official format, so that readers are tested on real files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

CITYSCAPES_SIZE = (64, 128)
NYUV2_SIZE = (480, 640)
CELEBA_ATTRIBUTES = ("5_o_Clock_Shadow", "Bald", "Smiling", "Young")

Write = Callable[..., Path]


@pytest.fixture
def write_cityscapes(tmp_path: Path) -> Write:
    """Write the official layout: two cities, labelIds with every id, 16-bit disparity."""

    def write(train: int = 10, val: int = 3, size: tuple[int, int] = CITYSCAPES_SIZE) -> Path:
        root = tmp_path / "cityscapes"
        generator = np.random.default_rng(0)
        for split, count in (("train", train), ("val", val)):
            for number in range(count):
                city = ("aachen", "ulm")[number % 2]
                stem = f"{city}_{number:06d}_000019"
                label = generator.integers(0, 34, size, np.uint8)
                disparity = generator.integers(0, 32258, size, np.uint16)
                image = generator.integers(0, 256, (*size, 3), np.uint8)
                if size != CITYSCAPES_SIZE:  # true size: of one value, which is quick to compress
                    label[:] = (7, 8, 11, 12, 13)[number % 5]  # ids that are classes: no split may lack labels
                    disparity[:], image[:] = 1000 + number, 100 + number
                for folder, end, array in (
                    ("leftImg8bit", "leftImg8bit", image),
                    ("gtFine", "gtFine_labelIds", label),
                    ("disparity", "disparity", disparity),
                ):
                    path = root / folder / split / city / f"{stem}_{end}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(array).save(path)
        return root

    return write


@pytest.fixture
def write_nyuv2(tmp_path: Path) -> Write:
    """Write the labelled .mat with its reversed axes, splits.mat and classMapping40.mat.

    Depth is that of a floor below and a wall ahead; labels name them.
    """

    def write(train: int = 10, test: int = 3, size: tuple[int, int] = NYUV2_SIZE) -> Path:
        root = tmp_path / "nyuv2"
        root.mkdir()
        frames, (height, width) = train + test, size
        generator = np.random.default_rng(0)
        rows = np.arange(height)[:, None] - 253.736 * height / 480
        floor = 0.6 * 519.470 * (height / 480) / np.maximum(rows, 1e-6)  # 0.6 m below the camera
        depth = np.broadcast_to(np.minimum(np.where(rows > 0, floor, 9), 3.5), size).astype(np.float32)
        label = np.where(depth < 3.5, 11, 21).astype(np.uint16)  # of 894: see class_of_894 below
        with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
            file["images"] = generator.integers(0, 256, (frames, 3, width, height), np.uint8)
            file["depths"] = np.stack([depth.T + 0.001 * frame for frame in range(frames)])
            file["labels"] = np.broadcast_to(label.T, (frames, width, height))
        # As in the official file some of the 894 names are of class floor (2) and wall (1) of 40.
        class_of_894 = np.arange(894) % 40 + 1
        class_of_894[10], class_of_894[20] = 2, 1
        savemat(root / "classMapping40.mat", {"mapClass": class_of_894[None].astype(np.uint8)})
        numbers = np.arange(1, frames + 1)
        savemat(
            root / "splits.mat",
            {"trainNdxs": numbers[:train, None].astype(np.uint16), "testNdxs": numbers[train:, None]},
        )
        return root

    return write


@pytest.fixture
def write_celeba(tmp_path: Path) -> Write:
    """Write faces and lists in one of the layouts; lists as .txt (CRLF, irregular spaces) or .csv."""

    def write(
        layout: str = "official",
        suffix: str = ".txt",
        counts: Sequence[int] = (8, 3, 4),
        attributes: Sequence[str] = CELEBA_ATTRIBUTES,
    ) -> Path:
        root = tmp_path / "celeba"
        folders = {
            "official": ("Anno", "Eval", "Img/img_align_celeba"),
            "flat": (".", ".", "img_align_celeba"),
            "doubled": (".", ".", "img_align_celeba/img_align_celeba"),
        }[layout]
        anno, partition, images = (root / folder for folder in folders)
        for folder in (anno, partition, images):
            folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(0)
        count = sum(counts)
        files = [f"{number + 1:06d}.jpg" for number in range(count)]
        values = generator.choice((-1, 1), (count, len(attributes)))
        splits = np.repeat(np.arange(3), counts)
        for file in files:
            face = generator.integers(0, 256, (7, 6, 3), np.uint8)
            Image.fromarray(face).resize((178, 218)).save(images / file)
        if suffix == ".txt":
            rows = [
                f"{file} " + " ".join(f"{value:2d}" for value in row) for file, row in zip(files, values, strict=True)
            ]
            lines = [str(count), " ".join(attributes) + " ", *rows]
            splits_lines = [f"{file} {split}" for file, split in zip(files, splits, strict=True)]
        else:
            rows = [",".join([file, *map(str, row)]) for file, row in zip(files, values, strict=True)]
            lines = [",".join(["image_id", *attributes]), *rows]
            splits_lines = [
                "image_id,partition",
                *(f"{file},{split}" for file, split in zip(files, splits, strict=True)),
            ]
        (anno / f"list_attr_celeba{suffix}").write_bytes("\r\n".join([*lines, ""]).encode())
        (partition / f"list_eval_partition{suffix}").write_bytes("\r\n".join([*splits_lines, ""]).encode())
        return root

    return write


@pytest.fixture
def write_mtan(tmp_path: Path) -> Write:
    """Write MTAN's layout with the given types; more than ten rows, so that 10.npy must come after 9.npy."""

    def write(
        folders: Sequence[str] = ("image", "label", "depth", "normal"),
        dtypes: Sequence[str] = ("float32", "float32", "float32", "float32"),
        train: int = 12,
        val: int = 3,
        size: tuple[int, int] = (16, 24),
        classes: int = 13,
    ) -> Path:
        root = tmp_path / "mtan"
        for split, count in (("train", train), ("val", val)):
            for number in range(count):
                for folder, dtype in zip(folders, dtypes, strict=True):
                    path = root / split / folder / f"{number}.npy"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    np.save(path, mtan_array(folder, dtype, number, size, classes))
        return root

    return write


def mtan_array(folder: str, dtype: str, number: int, size: tuple[int, int], classes: int) -> np.ndarray:
    """Return an array of the kind that `folder` holds, representable in `dtype`."""
    generator = np.random.default_rng(number)
    if folder == "image":
        image = generator.integers(0, 256, (*size, 3))
        return (image if np.dtype(dtype).kind in "iu" else image / 255).astype(dtype)
    if folder.startswith("label"):
        return generator.integers(-1, classes, size).astype(dtype)
    if folder == "depth":
        return generator.integers(0, 6, (*size, 1)).astype(dtype)
    axis = generator.integers(0, 3, size)
    normal = np.eye(3)[axis] * generator.choice((-1, 0, 1), (*size, 1))
    return normal.astype(dtype)


@pytest.fixture
def read_mtan_array() -> Callable[..., np.ndarray]:
    """Return the maker of the arrays that `write_mtan` writes."""
    return mtan_array
