"""Each official format is read exactly: every value of every column, against the files themselves."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.celeba import CelebA
from mtlsweep.suites.datasets.cityscapes import Cityscapes, class_of_label_id
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Dataset
from mtlsweep.suites.datasets.mtan import CityscapesMTAN, NYUv2MTAN
from mtlsweep.suites.datasets.nyuv2 import NYUv2
from mtlsweep.suites.datasets.readers.holdout import hold_out
from mtlsweep.suites.datasets.readers.images import resize_nearest
from mtlsweep.suites.datasets.readers.normals_from_depth import normals_from_depth
from mtlsweep.suites.prepared import shards
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.rows import read_rows
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.suites.tasks.target import VOID

pytestmark = pytest.mark.filterwarnings("ignore:.*results cannot be compared")

Write = Callable[..., Path]


def all_rows(dataset: Dataset, split: str) -> dict[str, np.ndarray]:
    return read_rows(dataset, split, 0, dataset.sizes()[split])


def test_cityscapes_is_read_exactly(write_cityscapes: Write) -> None:
    root = write_cityscapes()
    dataset = Cityscapes(root=root, size=(32, 64))
    assert dataset.sizes() == {"train": 8, "val": 2, "test": 3}
    found = all_rows(dataset, "test")
    stems = sorted((root / "gtFine/val").glob("*/*.png"))
    for row, path in enumerate(stems):
        label = np.asarray(Image.open(path))[1::2, 1::2]  # centres of 2x2 pixels, the lower right taken
        disparity_path = root / "disparity/val" / path.parent.name / path.name.replace("gtFine_labelIds", "disparity")
        disparity = np.asarray(Image.open(disparity_path))[1::2, 1::2]
        assert np.array_equal(found["segmentation"][row], class_of_label_id("void")[label])
        assert np.array_equal(found["depth"][row], disparity)
    assert found["depth"].dtype == np.uint16
    assert found["depth"].max() > 255


def test_cityscapes_in_the_store_is_inverse_depth(write_cityscapes: Write, tmp_path: Path) -> None:
    prepare(Choice(name="cityscapes", options={"root": str(write_cityscapes()), "size": [64, 128]}), tmp_path / "store")
    import torch

    batch = next(open_prepared(tmp_path / "store").splits["test"].batches(None, 3, torch.device("cpu")))
    path = sorted((tmp_path / "cityscapes/disparity/val").glob("*/*.png"))[0]
    expected = np.asarray(Image.open(path)).astype(np.float64) / 65535
    np.testing.assert_allclose(batch.targets["depth"][0].numpy(), expected, rtol=1e-6)
    assert 0.48 < batch.targets["depth"].max() <= 0.4923


def test_the_seven_classes_of_cityscapes() -> None:
    train_ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    expected = [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6]
    for ignored in ("void", "category"):
        assert class_of_label_id(ignored)[train_ids].tolist() == expected  # type: ignore[arg-type]
    others = sorted(set(range(34)) - set(train_ids))
    assert (class_of_label_id("void")[others] == VOID).all()
    by_category = {9: 0, 10: 0, 14: 1, 15: 1, 16: 1, 18: 2, 29: 6, 30: 6}
    assert {label: int(class_of_label_id("category")[label]) for label in by_category} == by_category
    assert (class_of_label_id("category")[:7] == VOID).all()


def test_validation_is_drawn_from_a_named_seed_and_recorded(write_cityscapes: Write, tmp_path: Path) -> None:
    assert [len(part) for part in hold_out("cityscapes", 2975, 0.2, 0)] == [2380, 595]
    assert [len(part) for part in hold_out("nyuv2", 795, 0.2, 0)] == [636, 159]
    assert hold_out("cityscapes", 2975, 0.2, 0)[1][:3].tolist() == [0, 13, 19]
    assert hold_out("cityscapes", 2975, 0.2, 1)[1].tolist() != hold_out("cityscapes", 2975, 0.2, 0)[1].tolist()
    root = write_cityscapes()
    dataset = Cityscapes(root=root)
    recorded = dataset.notes()["validation_images_of_train"]
    assert len(recorded) == 2
    assert all(len(list((root / "leftImg8bit/train").glob(f"*/{name}_leftImg8bit.png"))) == 1 for name in recorded)


def test_nyuv2_is_read_exactly_with_its_axes_turned(write_nyuv2: Write) -> None:
    import h5py

    root = write_nyuv2()
    dataset = NYUv2(root=root, size=(480, 640))
    assert dataset.sizes() == {"train": 8, "val": 2, "test": 3}
    found = all_rows(dataset, "test")
    with h5py.File(root / "nyu_depth_v2_labeled.mat") as file:
        for row in range(3):
            assert np.array_equal(found["image"][row], file["images"][10 + row].transpose(0, 2, 1))
            assert np.array_equal(found["depth"][row], file["depths"][10 + row].T)
            label = file["labels"][10 + row].T
            assert np.array_equal(found["segmentation"][row], np.where(label == 11, 4, 11))  # floor and wall
    assert [len(np.unique(np.concatenate(list(dataset._rows.values())))), dataset._rows["test"].tolist()] == [
        13,
        [10, 11, 12],
    ]


def test_nyuv2_normals_from_depth_of_planes() -> None:
    rows, columns = np.mgrid[:480, :640]
    x, y = (columns - 325.582) / 518.858, (253.736 - rows) / 519.470
    for normal in ((0, 1, 0.2), (0.3, 0.2, 1), (-0.6, 0, 0.8)):
        unit = np.array(normal) / np.linalg.norm(normal)
        # On the plane n . p = -c the point (x z, y z, -z) has z = c / (n_z - n_x x - n_y y).
        across = unit[2] - unit[0] * x - unit[1] * y
        depth = np.where((across > 0.2) & (across < 2), 1.5 / np.maximum(across, 1e-3), 0).astype(np.float32)
        found = normals_from_depth(depth)
        valid = np.asarray(found.any(axis=0))
        assert valid.mean() > 0.3
        assert np.degrees(np.arccos(np.clip(unit @ found[:, valid], -1, 1))).max() < 1.5
        assert not valid[depth == 0].any()


def test_normals_are_invalid_at_edges() -> None:
    depth = np.full((60, 80), 2.0, np.float32)
    depth[:, 40:] = 3.0
    valid = np.asarray(normals_from_depth(depth).any(axis=0))
    assert not valid[:, 35:45].any()
    assert valid[20:40, 10:34].all()
    assert valid[20:40, 46:70].all()


@pytest.mark.parametrize("kind", ["npy", "png"])
def test_nyuv2_normals_from_files_in_either_sign_convention(write_nyuv2: Write, kind: str, tmp_path: Path) -> None:
    root = write_nyuv2(size=(96, 128))
    (root / "normals").mkdir()
    rows = np.arange(96)[:, None, None]
    downward = np.where(rows < 50, (0, 0, 1.0), (0, -1.0, 0)) * np.ones((1, 128, 1))  # y points down in these files
    downward[:3] = 0
    for frame in range(13):
        if kind == "npy":
            np.save(root / f"normals/{frame}.npy", downward)
        else:
            colours = np.where(downward.any(-1, keepdims=True), np.rint((downward + 1) * 127.5), 0).astype(np.uint8)
            Image.fromarray(colours).save(root / f"normals/{frame}.png")
    options: dict[str, Any] = {"root": root, "size": (96, 128), "normal_source": "files"}
    with pytest.raises(UserError, match=r"floor normals is -1\.00.*`normal_signs` \(now \[1, 1, 1\]\)"):
        NYUv2(**options).begin(tmp_path)
    dataset = NYUv2(**options, normal_signs=(1, -1, 1))
    dataset.begin(tmp_path)
    normals = all_rows(dataset, "test")["normals"]
    np.testing.assert_allclose(normals[:, :, 60], np.array((0, 1, 0))[None, :, None] * np.ones((3, 1, 128)), atol=0.005)
    assert not normals[:, :, :3].any()


def test_the_thirteen_classes_of_nyuv2(write_nyuv2: Write) -> None:
    from mtlsweep.suites.datasets.nyuv2 import _class_of_label

    classes = _class_of_label(write_nyuv2(size=(48, 64)) / "classMapping40.mat")
    assert len(classes) == 895
    assert classes[0] == VOID
    assert sorted(set(classes[1:].tolist())) == list(range(13))


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float32", "float32", "float32", "float32"),
        ("float64", "int64", "float64", "float64"),
        ("float16", "float16", "float16", "float16"),
        ("uint8", "int8", "uint16", "int8"),
        ("int32", "int16", "int32", "float32"),
    ],
)
def test_mtan_arrays_of_any_type_are_read_exactly(
    write_mtan: Write, read_mtan_array: Callable[..., np.ndarray], dtypes: tuple[str, ...]
) -> None:
    dataset = NYUv2MTAN(root=write_mtan(dtypes=dtypes))
    assert dataset.sizes() == {"train": 10, "val": 2, "test": 3}
    train, _ = hold_out("nyuv2_mtan", 12, 0.2, 0)
    found = all_rows(dataset, "train")
    for row, number in enumerate(train):
        image, label, depth, normal = (
            read_mtan_array(folder, "float64", number, (16, 24), 13) for folder in ("image", "label", "depth", "normal")
        )
        assert np.array_equal(found["image"][row], np.rint(image * 255).transpose(2, 0, 1))
        assert np.array_equal(found["segmentation"][row], np.where(label < 0, VOID, label))
        assert np.array_equal(found["depth"][row], depth[..., 0])
        assert np.array_equal(found["normals"][row], normal.transpose(2, 0, 1))
    assert {name: column.dtype.name for name, column in found.items()} == {
        "image": "uint8",
        "segmentation": "uint8",
        "depth": "float32",
        "normals": "float16",
    }


@pytest.mark.parametrize("folder", ["label_7", "label"])
def test_mtan_cityscapes_takes_either_label_folder(write_mtan: Write, folder: str) -> None:
    dataset = CityscapesMTAN(root=write_mtan(folders=("image", folder, "depth"), dtypes=("float32",) * 3, classes=7))
    assert set(all_rows(dataset, "test")) == {"image", "segmentation", "depth"}


@pytest.mark.parametrize("layout", ["official", "flat", "doubled"])
@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_celeba_is_read_exactly_in_every_layout(write_celeba: Write, layout: str, suffix: str) -> None:
    root = write_celeba(layout, suffix)
    dataset = CelebA(root=root)
    assert dataset.sizes() == {"train": 8, "val": 3, "test": 4}
    assert [task.name for task in dataset.tasks] == ["5_o_Clock_Shadow", "Bald", "Smiling", "Young"]
    expected = np.random.default_rng(0).choice((-1, 1), (15, 4))
    start = 0
    for split in SPLITS:
        found = all_rows(dataset, split)
        stop = start + len(found["image"])
        assert found["image"].shape == (stop - start, 3, 64, 64)
        for index, task in enumerate(dataset.tasks):
            assert np.array_equal(found[task.name], (expected[start:stop, index] + 1) // 2)
        start = stop


def test_files_that_macos_leaves_beside_others_are_no_data(
    write_cityscapes: Write, write_nyuv2: Write, write_mtan: Write, write_celeba: Write
) -> None:
    mtan = {"folders": ("image", "label", "depth"), "dtypes": ("float32",) * 3, "classes": 7}
    readers = [
        (Cityscapes, write_cityscapes()),
        (NYUv2, write_nyuv2()),
        (CityscapesMTAN, write_mtan(**mtan)),
        (CelebA, write_celeba()),
    ]
    before = [reader(root=root).sizes() for reader, root in readers]
    for _, root in readers:
        for path in [path for path in root.rglob("*") if path.is_file()]:
            path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
            path.with_name(".DS_Store").write_bytes(b"Bud1")
    assert [reader(root=root).sizes() for reader, root in readers] == before


def test_celeba_lists_are_joined_by_file_name(write_celeba: Write) -> None:
    root = write_celeba()
    before = all_rows(CelebA(root=root), "test")
    path = root / "Eval/list_eval_partition.txt"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    after = all_rows(CelebA(root=root), "test")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_celeba_attributes_can_be_chosen(write_celeba: Write) -> None:
    root = write_celeba()
    chosen = CelebA(root=root, attributes=("Smiling", "Bald"))
    assert [task.name for task in chosen.tasks] == ["Smiling", "Bald"]
    assert np.array_equal(all_rows(chosen, "val")["Smiling"], all_rows(CelebA(root=root), "val")["Smiling"])


def test_counts_that_are_not_the_official_ones_are_said(write_cityscapes: Write, tmp_path: Path) -> None:
    root = write_cityscapes()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepare(Choice(name="cityscapes", options={"root": str(root)}), tmp_path / "store")
    sentences = [str(warning.message) for warning in caught]
    assert sentences[0].startswith("cityscapes: 10 images in `train`, officially 2975")
    assert json.loads((tmp_path / "store/summary.json").read_text())["notes"]["warnings"] == sentences


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "cityscapes",
            ["leftImg8bit_trainvaltest.zip (11 GB), gtFine_", "(241 MB) and disp", "cityscapes-dataset.com"],
        ),
        ("cityscapes_mtan", ["651 MB", "github.com/lorenmt/mtan"]),
        ("nyuv2", ["labeled.mat (2.8 GB) and splits.mat", "cs.nyu.edu/~silberman", "classMapping40.mat", "s-gupta"]),
        ("nyuv2_mtan", ["8 GB", "github.com/lorenmt/mtan"]),
        ("celeba", ["img_align_celeba.zip (1.4 GB), list_attr_celeba.txt", "mmlab.ie.cuhk.edu.hk"]),
    ],
)
def test_absent_data_is_answered_with_what_to_download(name: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        DATASETS.create(Choice(name=name, options={"root": str(tmp_path / "nowhere")}))
    assert all(word in str(caught.value) for word in [*words, str(tmp_path / "nowhere"), "option `root`"])


@pytest.mark.slow
def test_generated_and_bundled_data_need_no_files() -> None:
    with_files = {"cityscapes", "cityscapes_mtan", "nyuv2", "nyuv2_mtan", "celeba", "table", "qm9"}
    for name in set(DATASETS.names()) - with_files:
        assert DATASETS.create(Choice(name=name)).tasks


@pytest.mark.slow
def test_the_root_does_not_enter_the_fingerprint(
    write_mtan: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_mtan()
    prepare(Choice(name="nyuv2_mtan", options={"root": str(root)}), tmp_path / "one")
    root.rename(tmp_path / "moved")
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    prepare(Choice(name="nyuv2_mtan", options={"root": str(tmp_path / "moved")}), tmp_path / "two")
    assert open_prepared(tmp_path / "one").fingerprint == open_prepared(tmp_path / "two").fingerprint


def test_nearest_resizing_takes_the_pixel_under_the_centre() -> None:
    row = np.arange(12)[None]
    assert resize_nearest(row, (1, 4)).tolist() == [[1, 4, 7, 10]]
    assert resize_nearest(row, (1, 24)).tolist() == [(np.arange(24) // 2).tolist()]
    assert resize_nearest(row[:, :5], (1, 3)).tolist() == [[0, 2, 4]]


@pytest.mark.slow
def test_floors_of_normals_from_depth_look_upwards(write_nyuv2: Write, tmp_path: Path) -> None:
    dataset = NYUv2(root=write_nyuv2(), size=(240, 320))
    dataset.begin(tmp_path)
    found = all_rows(dataset, "val")
    floor = (found["segmentation"] == 4) & found["normals"].any(axis=1)
    assert floor.mean() > 0.1
    upward = found["normals"][:, 1][floor]
    assert upward.min() > 0.98  # where floor and wall meet
    assert np.median(upward) > 0.999
