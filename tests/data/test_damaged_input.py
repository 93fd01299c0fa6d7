"""Damaged raw data: an error that names file and fault, nothing lost, and success after the repair."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared

pytestmark = pytest.mark.filterwarnings("ignore:.*results cannot be compared")

Write = Callable[..., Path]
Damage = Callable[[Path], object]


def truncate(path: Path, keep: float = 0.5) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


def save_picture(path: Path, array: np.ndarray) -> None:
    Image.fromarray(array).save(path)


def change(path: Path, place: tuple[int, ...], value: float) -> None:
    array = np.load(path)
    array[place] = value
    np.save(path, array)


def change_picture(path: Path, place: tuple[int, ...], value: int) -> None:
    array = np.array(Image.open(path))
    array[place] = value
    save_picture(path, array)


def change_mat(path: Path, name: str, place: tuple[int, ...], value: float) -> None:
    with h5py.File(path, "r+") as file:
        file[name][place] = value


def replace_mat(path: Path, name: str, array: np.ndarray) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = array


def replace_text(path: Path, old: str, new: str) -> None:
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))


def pickle_array(path: Path) -> None:
    np.save(path, np.array([{}]), allow_pickle=True)


ULM = "ulm/ulm_000001_000019"
LABEL_0 = "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
DISPARITY_0 = "disparity/train/aachen/aachen_000000_000019_disparity.png"
MAT = "nyu_depth_v2_labeled.mat"
ATTRIBUTES, PARTITION = "Anno/list_attr_celeba.txt", "Eval/list_eval_partition.txt"

CITYSCAPES: dict[str, tuple[Damage, str]] = {
    "a label file is missing": (
        lambda root: (root / f"gtFine/val/{ULM}_gtFine_labelIds.png").unlink(),
        rf"{ULM}_gtFine_labelIds\.png: there is no such file, but .*leftImg8bit\.png needs it",
    ),
    "a disparity file is missing": (
        lambda root: (root / DISPARITY_0).unlink(),
        r"aachen_000000_000019_disparity\.png: there is no",
    ),
    "an image is truncated": (
        lambda root: truncate(root / f"leftImg8bit/train/{ULM}_leftImg8bit.png"),
        rf"{ULM}_leftImg8bit\.png: damaged, or not a picture \(.*truncated.*\)",
    ),
    "an image has no bytes": (
        lambda root: truncate(root / f"leftImg8bit/train/{ULM}_leftImg8bit.png", 0),
        r"leftImg8bit\.png: damaged, or not a picture",
    ),
    "a disparity file has 8 bits": (
        lambda root: save_picture(root / DISPARITY_0, np.zeros((64, 128), np.uint8)),
        r"disparity\.png: a picture of mode L; expected one channel of 16 bits",
    ),
    "a label file is the colour version": (
        lambda root: save_picture(root / LABEL_0, np.zeros((64, 128, 3), np.uint8)),
        r"labelIds\.png: a picture of mode RGB; expected one channel of 8 bits",
    ),
    "a label file has another size": (
        lambda root: save_picture(root / LABEL_0, np.zeros((32, 64), np.uint8)),
        r"labelIds\.png: shape \(32, 64\), but .*leftImg8bit\.png asks for \(64, 128\)",
    ),
    "a label id is none": (
        lambda root: change_picture(root / LABEL_0, (5, 7), 34),
        r"labelIds\.png: label id 34 at row 5, column 7; allowed is 0 to 33",
    ),
    "a folder is missing": (
        lambda root: shutil.rmtree(root / "disparity"),
        r"cityscapes has no disparity/train\. Download disparity_trainvaltest\.zip \(3\.5 GB\) from www\.cityscapes",
    ),
}

MTAN: dict[str, tuple[Damage, str]] = {
    "a row in the middle is missing": (
        lambda root: (root / "train/depth/5.npy").unlink(),
        r"train/depth/5\.npy: there is no such file, and 0 more are missing",
    ),
    "a folder is missing": (lambda root: shutil.rmtree(root / "val/normal"), r"mtan/val: there is no folder `normal`"),
    "a file has another name": (
        lambda root: (root / "train/label/copy of 3.npy").write_bytes(b""),
        r"copy of 3\.npy: allowed names are 0\.npy, 1\.npy",
    ),
    "an array is truncated": (
        lambda root: truncate(root / "train/image/3.npy"),
        r"train/image/3\.npy: damaged, or not a \.npy file",
    ),
    "an array has no bytes": (
        lambda root: truncate(root / "val/depth/1.npy", 0),
        r"val/depth/1\.npy: damaged, or not a \.npy file",
    ),
    "an array holds objects": (
        lambda root: pickle_array(root / "val/depth/1.npy"),
        r"val/depth/1\.npy: damaged, or not a \.npy file of numbers",
    ),
    "a label is out of range": (
        lambda root: change(root / "train/label/4.npy", (2, 3), 13),
        r"train/label/4\.npy: label 13 at row 2, column 3; allowed is a whole number from 0 to 12, or -1 for void",
    ),
    "a label is a fraction": (
        lambda root: change(root / "val/label/0.npy", (0, 1), 2.5),
        r"label 2\.5 at row 0, column 1",
    ),
    "a label is not a number": (
        lambda root: change(root / "val/label/0.npy", (0, 1), np.nan),
        r"label nan at row 0, column 1",
    ),
    "a depth is negative": (
        lambda root: change(root / "train/depth/2.npy", (1, 1, 0), -0.5),
        r"train/depth/2\.npy: depth -0\.5 at row 1, column 1; allowed is a positive number, or 0 for invalid",
    ),
    "a depth is infinite": (lambda root: change(root / "train/depth/2.npy", (1, 1, 0), np.inf), r"depth inf at row 1"),
    "an image goes to 255 in floats": (
        lambda root: change(root / "train/image/2.npy", (1, 2, 0), 255),
        r"image/2\.npy: value 255 at row 1, column 2, channel 0; allowed is 0 to 1 in images of a float type",
    ),
    "an image has channels first": (
        lambda root: np.save(root / "train/image/2.npy", np.zeros((3, 16, 24))),
        r"train/image/2\.npy: shape \(3, 16, 24\), but .* asks for \(16, 24, 3\)",
    ),
    "a normal is too long": (
        lambda root: change(root / "train/normal/1.npy", (0, 0, 2), 3),
        r"normal/1\.npy: normal with a component of 3 at row 0, column 0, channel 2; allowed is -1 to 1",
    ),
}

NYUV2: dict[str, tuple[Damage, str]] = {
    "the .mat is truncated": (
        lambda root: truncate(root / MAT),
        r"nyu_depth_v2_labeled\.mat: damaged, or not .* \(.*truncated",
    ),
    "the .mat is a web page": (
        lambda root: (root / MAT).write_text("<html>"),
        r"labeled\.mat: damaged, or not the labelled",
    ),
    "depth has another type": (
        lambda root: replace_mat(root / MAT, "depths", np.zeros((13, 64, 48))),
        r"`depths` is float64 \(13, 64, 48\); expected float32",
    ),
    "axes are not reversed": (
        lambda root: replace_mat(root / MAT, "labels", np.zeros((48, 64, 13), np.uint16)),
        r"`labels` is uint16 \(48, 64, 13\); expected uint16 \(13, 64, 48\) \(frames, width, height\)",
    ),
    "a label is out of range": (
        lambda root: change_mat(root / MAT, "labels", (2, 5, 9), 895),
        r"labeled\.mat/labels\[2\]: label 895 at row 9, column 5; allowed is 0 to 894",
    ),
    "a depth is not a number": (
        lambda root: change_mat(root / MAT, "depths", (3, 5, 9), np.nan),
        r"labeled\.mat/depths\[3\]: depth nan at row 9, column 5",
    ),
    "splits.mat lacks a split": (
        lambda root: savemat(root / "splits.mat", {"trainNdxs": np.ones((3, 1))}),
        r"splits\.mat: there is no variable `testNdxs`",
    ),
    "splits.mat names a frame that is not there": (
        lambda root: savemat(root / "splits.mat", {"trainNdxs": np.array([[1], [14]]), "testNdxs": np.ones((3, 1))}),
        r"`trainNdxs` names frames 1 to 14; there are 13",
    ),
    "splits.mat is truncated": (
        lambda root: truncate(root / "splits.mat"),
        r"splits\.mat: damaged, or not a MATLAB 5 file",
    ),
    "the class mapping has 13 classes only, and from 0": (
        lambda root: savemat(root / "classMapping40.mat", {"mapClass": np.arange(894)[None] % 13}),
        r"`mapClass` goes from 0 to 12; allowed is 1 to 40",
    ),
}

CELEBA: dict[str, tuple[Damage, str]] = {
    "the attribute file is a web page": (
        lambda root: (root / ATTRIBUTES).write_text("\n<!DOCTYPE html><html>Too many requests</html>"),
        r"list_attr_celeba\.txt: an HTML page",
    ),
    "the attribute file is zipped": (
        lambda root: (root / ATTRIBUTES).write_bytes(gzip.compress(b"15")),
        r"list_attr_celeba\.txt: not a text file",
    ),
    "the attribute file is truncated": (
        lambda root: (root / ATTRIBUTES).write_text("\r\n".join((root / ATTRIBUTES).read_text().splitlines()[:9])),
        r"line 1 says 15 images, but 7 follow: the file is truncated",
    ),
    "a line of the attribute file is truncated": (
        lambda root: truncate(root / ATTRIBUTES, 0.97),
        r"line 17 \(000015\.jpg\) has \d values; expected 4",
    ),
    "an attribute is neither 1 nor -1": (
        lambda root: replace_text(root / ATTRIBUTES, "000003.jpg ", "000003.jpg 2 "),
        r"line 5 \(000003\.jpg\) has 5 values; expected 4",
    ),
    "an attribute has another value": (
        lambda root: replace_text(root / ATTRIBUTES, "-1\r\n", "-7\r\n"),
        r"has the value '-7'; allowed are 1 and -1",
    ),
    "the first line is missing": (
        lambda root: replace_text(root / ATTRIBUTES, "15\r\n", ""),
        r"line 1 is '5_o_Clock_Shadow Bald Smiling Young'; expected the number of images",
    ),
    "the partition is empty": (
        lambda root: truncate(root / PARTITION, 0),
        r"list_eval_partition\.txt: the file is empty",
    ),
    "the partition has a fourth split": (
        lambda root: replace_text(root / PARTITION, "000009.jpg 1", "000009.jpg 3"),
        r"line 9 is '000009\.jpg 3'; expected a file name and 0, 1 or 2",
    ),
    "the partition lacks a file": (
        lambda root: replace_text(root / PARTITION, "000009.jpg", "900009.jpg"),
        r"list_eval_partition\.txt: `000009\.jpg` of .*list_attr_celeba\.txt is not in it",
    ),
    "a face is missing": (
        lambda root: (root / "Img/img_align_celeba/000007.jpg").unlink(),
        r"img_align_celeba/000007\.jpg: there is no such file",
    ),
    "a face is truncated": (
        lambda root: truncate(root / "Img/img_align_celeba/000007.jpg"),
        r"img_align_celeba/000007\.jpg: damaged, or not a picture \(.*truncated",
    ),
    "a face is not aligned": (
        lambda root: save_picture(root / "Img/img_align_celeba/000007.jpg", np.zeros((250, 200, 3), np.uint8)),
        r"000007\.jpg: shape \(250, 200, 3\), but an aligned and cropped CelebA image asks for \(218, 178, 3\)",
    ),
}


def fails_then_succeeds(
    name: str, root: Path, tmp_path: Path, damage: Damage, sentence: str, **options: object
) -> None:
    """Prepare good data; damage it: an error, and the prepared data stays; repair it: it works again."""
    store, kept = tmp_path / "store", tmp_path / "kept"
    choice = Choice(name=name, options={"root": str(root), **options})
    prepare(choice, store)
    fingerprint = open_prepared(store).fingerprint
    shutil.copytree(root, kept)
    damage(root)
    with pytest.raises(UserError, match=sentence):
        prepare(choice, store)
    assert open_prepared(store).fingerprint == fingerprint
    shutil.rmtree(root)
    kept.rename(root)
    prepare(choice, store)
    assert open_prepared(store).fingerprint == fingerprint
    assert not list(tmp_path.glob(".store*"))


@pytest.mark.slow
@pytest.mark.parametrize("what", CITYSCAPES)
def test_cityscapes(what: str, write_cityscapes: Write, tmp_path: Path) -> None:
    fails_then_succeeds("cityscapes", write_cityscapes(), tmp_path, *CITYSCAPES[what], size=[16, 32])


@pytest.mark.slow
@pytest.mark.parametrize("what", MTAN)
def test_mtan(what: str, write_mtan: Write, tmp_path: Path) -> None:
    fails_then_succeeds("nyuv2_mtan", write_mtan(), tmp_path, *MTAN[what])


@pytest.mark.slow
@pytest.mark.parametrize("what", NYUV2)
def test_nyuv2(what: str, write_nyuv2: Write, tmp_path: Path) -> None:
    fails_then_succeeds("nyuv2", write_nyuv2(size=(48, 64)), tmp_path, *NYUV2[what], size=[24, 32])


@pytest.mark.slow
@pytest.mark.parametrize("what", CELEBA)
def test_celeba(what: str, write_celeba: Write, tmp_path: Path) -> None:
    fails_then_succeeds("celeba", write_celeba(), tmp_path, *CELEBA[what])


def test_an_attribute_that_is_misspelt(write_celeba: Write, tmp_path: Path) -> None:
    choice = Choice(name="celeba", options={"root": str(write_celeba()), "attributes": ["Smilling"]})
    with pytest.raises(UserError, match=r"has no attribute `Smilling`; did you mean `Smiling`\?"):
        prepare(choice, tmp_path / "store")
