"""A study for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from mtlsweep.record.ledger import Ledger
from tests.watch.watched_study import SUITE, finish, open_study


@pytest.fixture(scope="session")
def finished_baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a study whose baselines are finished."""
    directory = tmp_path_factory.mktemp("study")
    with chdir(directory):
        open_study(price_per_device_hour=0.8)
        finish(Ledger(Path("results"), SUITE), "baselines")
    return directory


@pytest.fixture
def ledger(finished_baselines: Path, tmp_path: Path) -> Iterator[Ledger]:
    """Return the ledger of a copy of that study, in whose directory the test runs."""
    with chdir(shutil.copytree(finished_baselines, tmp_path / "copy")):
        yield Ledger(Path("results"), SUITE)
