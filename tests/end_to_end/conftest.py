"""A clone of the project with a study so small that it runs in a minute."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
SUITE = "multidigits-lenet"

TINY: dict[str, Any] = {
    "active": [SUITE],
    "defaults": {
        "training": {},
        "baselines": {},
        "sweep": {},
        "studies": {
            "gradients": {"every": 4, "samples": 2},
            "robustness": {
                "corruptions": ["contrast"],
                "severities": [3],
                "test_samples": 32,
                "fine_tuning": {"epochs": 1, "train_samples": 32},
            },
        },
    },
    "studies": {"toy": {"learning_rates": [1.0], "iterations": 100}, "loss_scaling": {"epochs": 2}},
    "suites": {
        SUITE: {
            "data": {"dataset": {"multidigits": {"train": 256, "val": 64, "test": 64}}},
            "network": {"lenet": {"downsampling": "stride"}},
            "training": {"epochs": 2, "batch_size": 32},
            "baselines": {"learning_rates": [0.003], "seeds": [0, 1]},
            "sweep": {
                "weightings": ["ew", "pcgrad"],
                "optimizers": ["adam", "sgd"],
                "learning_rates": [0.003],
                "seeds": [0, 1],
            },
        }
    },
}
BASELINES, TRIALS = 3 * 2, 2 * 2 * 2


@dataclass(frozen=True)
class Clone:
    """A working copy of the project in a directory of its own."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / "results" / SUITE

    @property
    def ledger(self) -> Path:
        return self.results / "ledger"

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of the test's own environment inside the clone."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(
                f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program inside the clone, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def write_params(self, params: dict[str, Any]) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def ledger_times(self) -> dict[str, int]:
        """Return when each trial's result was written."""
        return {path.parent.name: path.stat().st_mtime_ns for path in self.ledger.glob("*/result.json")}

    def copy(self, target: Path) -> Clone:
        shutil.copytree(self.root, target, symlinks=True)
        return Clone(target)


def make_clone(root: Path) -> Clone:
    """Copy what git would give a stranger (uncommitted work included), and make it a repository."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in listing.stdout.splitlines():
        if (PROJECT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, root / name)
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message", "clone"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    clone = Clone(root)
    clone.write_params(TINY)
    return clone


@pytest.fixture(scope="session")
def trained_baselines(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The tiny study before its sweep."""
    clone = make_clone(tmp_path_factory.mktemp("baselines") / "study")
    clone.run("dvc", "repro", f"baselines@{SUITE}")
    return clone


@pytest.fixture(scope="session")
def finished_study(trained_baselines: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The tiny study, run once by `dvc repro`; tests that change it work on a copy."""
    clone = trained_baselines.copy(tmp_path_factory.mktemp("clone") / "study")
    clone.run("dvc", "repro")
    return clone


@pytest.fixture
def study(finished_study: Clone, tmp_path: Path) -> Clone:
    """A copy of the finished study that the test may change."""
    return finished_study.copy(tmp_path / "study")
