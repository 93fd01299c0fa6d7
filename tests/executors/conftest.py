"""A suite so small that its sweep runs in this process in seconds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtlsweep import paths
from mtlsweep.params.params import Params, load_params
from mtlsweep.suites.prepared import prepare
from mtlsweep.sweep.stage import run_stage

SUITE = "digits"

TINY: dict[str, Any] = {
    "active": [SUITE],
    "suites": {
        SUITE: {
            "data": {"dataset": {"multidigits": {"train": 64, "val": 32, "test": 32}}},
            "network": {"lenet": {"downsampling": "stride"}},
            "training": {"epochs": 3, "batch_size": 16},
            "baselines": {"learning_rates": [0.01], "seeds": [0]},
            "sweep": {
                "strategy": {"race": {"rungs": {0.3: 1, 1.0: 1}, "noise": 0.0}},
                "weightings": ["ew", "pcgrad"],
                "optimizers": ["adam"],
                "learning_rates": [0.01, 0.001],
                "seeds": [0, 1],
            },
        }
    },
}

Write = Callable[..., Params]


def write_params(directory: Path, resources: dict[str, Any] | None = None, **sweep: Any) -> Params:
    """Write params.yaml into a directory and read it; keywords change `sweep`."""
    suite = TINY["suites"][SUITE]
    # MLflow keeps one connection for each address, so studies of one process must not share a relative one.
    own = {"executor": "inline", "tracking_uri": f"sqlite:///{directory}/mlflow.db", **(resources or {})}
    content = {**TINY, "suites": {SUITE: {**suite, "sweep": {**suite["sweep"], **sweep}}}, "resources": own}
    path = directory / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_params(path)


@pytest.fixture(scope="session")
def study_with_baselines(tmp_path_factory: pytest.TempPathFactory, empty_database: bytes) -> Path:
    """A directory with prepared data and trained baselines."""
    directory = tmp_path_factory.mktemp("study")
    with chdir(directory):
        Path("mlflow.db").write_bytes(empty_database)
        params = write_params(directory)
        prepare(params.suite(SUITE).data.dataset, paths.prepared(SUITE))
        run_stage(params, SUITE, "baselines")
    return directory


@pytest.fixture
def study(study_with_baselines: Path, tmp_path: Path) -> Iterator[Write]:
    """Return a writer of params.yaml in a copy of that directory, which is the current one; keywords change `sweep`."""
    directory = shutil.copytree(study_with_baselines, tmp_path / "study")
    with chdir(directory):
        yield lambda resources=None, **sweep: write_params(directory, resources, **sweep)
