"""What is installed: the package `mtlsweep` with its data, and no other top-level name."""

from __future__ import annotations

import email
import tomllib
import zipfile
from pathlib import Path

import pytest

from mtlsweep.project.upgrade import changes_since

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline/mtlsweep"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_installs_one_package(names: set[str]) -> None:
    assert {name.partition("/")[0] for name in names} == {"mtlsweep", f"mtlsweep-{VERSION}.dist-info"}


def test_the_wheel_has_every_file_of_the_package(names: set[str]) -> None:
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {name for name in names if name.startswith("mtlsweep/")} == {
        str(path.relative_to(PACKAGE.parent)) for path in files
    }
    assert {path.suffix or path.name for path in files} >= {".py", ".csv", ".css", ".js", ".html", ".md", ".typed"}


def test_the_wheel_has_the_changelog_of_its_version_that_an_upgrade_shows(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        description = email.message_from_bytes(archive.read(metadata)).get_payload()
    assert isinstance(description, str)
    assert list(changes_since("0.0", description))[1] == f"## {VERSION}"
