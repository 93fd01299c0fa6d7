"""The changes of docs/contributing/parts fit the project of today, and their own tests pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = sorted((ROOT / "docs/contributing/parts").glob("*.diff"))
COPIED = ("pipeline", "stages", "tests", "docs", "dvc.yaml", "params.yaml", "pyproject.toml")


def apply(part: Path, directory: Path, *options: str) -> None:
    done = subprocess.run(
        ["git", "apply", *options, str(part)], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with every part in it."""
    project = tmp_path_factory.mktemp("project")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, project)
    for part in PARTS:
        apply(part, project)
    return project


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.stem)
def test_a_part_applies_by_itself_and_brings_code_test_and_words(part: Path) -> None:
    apply(part, ROOT, "--check")
    files = re.findall(r"^\+\+\+ b/(\S+)$", part.read_text(), re.MULTILINE)
    assert any(file.startswith("tests/") for file in files)
    assert any(file.startswith("pipeline/mtlsweep/") for file in files)
    words = {"study": "dvc.yaml", "executor": "pipeline/mtlsweep/sweep/stage.py"}.get(part.stem, "docs/")
    assert any(file.startswith(words) for file in files)


def test_there_is_a_part_of_each_kind_and_the_page_shows_it() -> None:
    kinds = {part.stem for part in PARTS}
    assert kinds == {"weighting", "optimizer", "network", "dataset", "task", "study", "executor"}
    page = (ROOT / "docs/contributing/parts.md").read_text()
    assert set(re.findall(r'--8<-- "contributing/parts/(\w+)\.diff"', page)) == kinds


@pytest.mark.slow
def test_the_tests_of_all_parts_pass_and_the_code_is_in_form(copy: Path) -> None:
    new = [name for part in PARTS for name in re.findall(r"^\+\+\+ b/(\S+\.py)$", part.read_text(), re.MULTILINE)]
    for command in (["ruff", "check", *new], ["ruff", "format", "--check", *new]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    tests = [name for name in new if name.startswith("tests/")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "pipeline")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
