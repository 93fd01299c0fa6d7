"""A study for the tests of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlsweep.record.ledger import Ledger
from tests.watch.watched_study import SUITE, finish, open_study


@pytest.fixture(scope="session")
def finished_baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a study whose baselines are finished."""
    before, directory = Path.cwd(), tmp_path_factory.mktemp("study")
    os.chdir(directory)
    open_study(price_per_device_hour=0.8)
    finish(Ledger(Path("results"), SUITE), "baselines")
    os.chdir(before)
    return directory


@pytest.fixture
def ledger(finished_baselines: Path, tmp_path: Path) -> Iterator[Ledger]:
    """Return the ledger of a copy of that study, in whose directory the test runs."""
    before, directory = Path.cwd(), tmp_path / "copy"
    shutil.copytree(finished_baselines, directory)
    os.chdir(directory)
    yield Ledger(Path("results"), SUITE)
    os.chdir(before)
