"""The suites that come with the project: the study's by its published protocol, and what they say without their data."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from typer.testing import CliRunner

from mtlsweep.cli.main import app
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import PARAMS_FILE, load_params
from mtlsweep.params.suite import Suite
from mtlsweep.sweep.plan.cells import check_names, plan_cells

PARAMS = Path(__file__).parents[2] / PARAMS_FILE
CITYSCAPES, NYUV2, CELEBA = ("segmentation", "depth"), ("segmentation", "depth", "normals"), tuple("abcdefgh")

# Tasks; size of a batch; epochs; epochs after which the learning rate is halved.
PROTOCOL = {
    "cityscapes-segnet": (CITYSCAPES, 64, 300, 100),
    "cityscapes-deeplabv3": (CITYSCAPES, 64, 300, 100),
    "nyuv2-segnet": (NYUV2, 8, 200, 100),
    "nyuv2-deeplabv3": (NYUV2, 8, 200, 100),
    "celeba-resnet18": (CELEBA, 512, 100, 30),
}
LEARNING_RATES = (0.5, 0.1, 0.05, 0.01, 0.005, 0.001, 0.0005, 0.0001, 0.00005, 0.00001)

ABSENT = {
    "cityscapes-segnet": r"data/raw/cityscapes has no leftImg8bit/train, .*\(11 GB\), .*\(3\.5 GB\) from www\.cityscapes",
    "cityscapes-deeplabv3": r"data/raw/cityscapes has no leftImg8bit/train, .*\(241 MB\) and .* from www\.cityscapes",
    "nyuv2-segnet": r"data/raw/nyuv2 has no nyu_depth_v2_labeled\.mat, .*\(2\.8 GB\) .* from cs\.nyu\.edu/~silberman",
    "nyuv2-deeplabv3": r"data/raw/nyuv2 has no .*classMapping40\.mat\. .*\(2\.8 GB\) .* from cs\.nyu\.edu/~silberman",
    "celeba-resnet18": r"data/raw/celeba has no img_align_celeba/\*\.jpg, .*\(1\.4 GB\), .* from mmlab\.ie\.cuhk",
}


def suite(name: str) -> Suite:
    return load_params(PARAMS).suite(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOL)
def test_the_studys_suites_follow_its_published_protocol(name: str) -> None:
    tasks, batch_size, epochs, every = PROTOCOL[name]
    training, sweep, baselines = suite(name).training, suite(name).sweep, suite(name).baselines
    assert (training.batch_size, training.epochs) == (batch_size, epochs)
    assert (training.schedule.kind, training.schedule.every, training.schedule.factor) == ("step", every, 0.5)
    assert training.augmentation == ("none" if tasks is CELEBA else "paper")
    assert sweep.strategy.name == "grid"
    assert sweep.learning_rates == LEARNING_RATES
    assert baselines.optimizer == Choice(name="adam")
    assert baselines.learning_rates == (0.01, 0.005, 0.001, 0.0005, 0.0001, 0.00005)
    assert sweep.seeds == baselines.seeds == (0, 1, 2)
    cells = plan_cells(name, suite(name), "sweep", tasks, "f" * 64)
    cagrad = "cagrad(c=0.4)" if tasks is CELEBA else "cagrad"  # 0.5 is the default, which labels leave out
    seven = ("ew", "uw", "rlw", "imtl", "pcgrad", cagrad, "aligned_mtl")
    assert {(cell.weighting_label, cell.optimizer_label) for cell in cells} == {
        *((weighting, optimizer) for weighting in seven for optimizer in ("adam", "sgd", "signsgd")),
        ("adatask", "adam"),
        ("mtl_io", "sgd"),
    }
    assert len(cells) == 23 * 10
    assert {cell.optimizer.options["weight_decay"] for cell in cells} == {1e-5}
    assert {cell.optimizer.options.get("momentum", 0.9) for cell in cells} == {0.9}


def test_every_suite_names_what_there_is() -> None:
    params = load_params(PARAMS)
    assert params.active == ("multidigits-lenet",)
    for name, section in params.suites.items():
        check_names(name, section)


@pytest.mark.parametrize("name", ["multimnist-lenet", "multimnist-lenet-small"])
def test_multimnist_is_searched_as_in_its_paper_at_equal_budget(name: str) -> None:
    """Seven rates x six dropouts for each method and each task alone; CAGrad's c on top of that, in as many settings."""
    tasks = ["left", "right"]
    for stage, methods in (("baselines", 1), ("sweep", 10)):
        cells = plan_cells(name, suite(name), stage, tasks, "f" * 64)  # type: ignore[arg-type]
        tried = Counter((cell.method, cell.tasks) for cell in cells)
        assert set(tried.values()) == {7 * 6}
        assert len({cell.method for cell in cells}) == methods
    assert {cell.network.options["dropout"] for cell in cells} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert {cell.weighting.options["c"] for cell in cells if cell.weighting.name == "cagrad"} == {0.2, 0.5, 0.8}
    assert {cell.optimizer.options["weight_decay"] for cell in cells} == {0.0}


def test_dvc_reads_the_same_parameters() -> None:
    """DVC has a YAML reader of its own; anchors and merges mean the same to both."""
    assert load_yaml(str(PARAMS)) == yaml.safe_load(PARAMS.read_text())


@pytest.mark.parametrize("name", PROTOCOL)
def test_a_plan_without_the_data_says_what_to_download(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(PARAMS, tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["plan", name])
    assert result.exit_code == 2
    assert re.fullmatch(
        rf"mtlsweep: there is no raw data: {ABSENT[name]}.*, or set .* option `root`\.\n", result.output
    )
