"""A tiny sweep whose stages run as processes of their own, without DVC, so that they can be killed one by one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from tests.forks import Fork, run_module

SUITE = "digits"

TINY: dict[str, Any] = {
    "active": [SUITE],
    "suites": {
        SUITE: {
            "data": {"dataset": {"multidigits": {"train": 64, "val": 64, "test": 64}}},
            "network": {"lenet": {"downsampling": "stride"}},
            "training": {"epochs": 3, "batch_size": 16},
            "baselines": {"learning_rates": [0.01], "seeds": [0]},
            "sweep": {
                "strategy": {"race": {"rungs": {0.3: 1, 1.0: 1}, "noise": 0.0}},
                "weightings": ["ew", "pcgrad", "uw"],
                "optimizers": ["adam", "sgd"],
                "learning_rates": [0.01, 0.001],
                "seeds": [0, 1],
            },
        }
    },
    "resources": {"checkpoint_seconds": 0},
}
INLINE = {"executor": "inline"}
"""For what is not about Ray: no cluster has to start."""

TRIALS = 3 * 2 * (2 + 1)
"""Of each method both rates with the first seed, one of them cut after an epoch, and the other with the second seed."""


@dataclass
class Sweep:
    """A directory with a study in it."""

    root: Path
    uri: str = "sqlite:///mlflow.db"
    resources: dict[str, Any] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        """Where results are; its root may be elsewhere."""
        return Path(self.root, self.resources.get("ledger_root", "results"), SUITE, "ledger")

    @property
    def tables(self) -> Path:
        return self.root / "results" / SUITE / "sweep"

    def results(self) -> dict[str, int]:
        """Return when each result was written."""
        return {path.parent.name: path.stat().st_mtime_ns for path in self.ledger.glob("*/result.json")}

    def command(self, stage: str) -> tuple[str, str]:
        params = {**TINY, "resources": {**TINY["resources"], "tracking_uri": self.uri, **self.resources}}
        (self.root / "params.yaml").write_text(yaml.safe_dump(params))
        return f"stages.{stage}", SUITE

    def run(self, stage: str) -> subprocess.CompletedProcess[str]:
        return run_module(self.root, *self.command(stage))

    def start(self, stage: str) -> Fork:
        """Start a stage, its output in `stage.log`."""
        log = self.root / "stage.log"
        return Fork(self.command(stage), self.root, log, log)

    def finish(self) -> bytes:
        """Run what is left, and analyse it; return the bytes of the table of trials.

        The baselines come first: their runs are recorded anew where MLflow has lost them.
        """
        for stage in ("baselines", "sweep", "analyse"):
            done = self.run(stage)
            assert done.returncode == 0, done.stdout + done.stderr
        return (self.root / "results" / SUITE / "trials.parquet").read_bytes()

    def copy(self, target: Path, resources: dict[str, Any] | None = None) -> Sweep:
        """Copy the study; the copy runs on Ray unless `resources` says otherwise."""
        shutil.copytree(self.root, target)
        return Sweep(target, self.uri, resources or {})

    def check_every_trial_once(self) -> None:
        """In the ledger, in MLflow and in the table: each trial once, and no run left open."""
        uri = self.uri.replace("sqlite:///", f"sqlite:///{self.root}/")
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(SUITE)
        assert experiment is not None
        runs = [run for run in client.search_runs([experiment.experiment_id]) if "trial_key" in run.data.tags]
        keys = sorted(run.data.tags["trial_key"] for run in runs)
        table = pd.read_parquet(self.root / "results" / SUITE / "trials.parquet")
        assert keys == sorted(table["trial_key"]) == sorted(self.results())
        assert (table["role"] == "mtl").sum() == TRIALS
        assert {run.info.status for run in runs} == {"FINISHED", "KILLED"}  # done, and cut by the race


@pytest.fixture(scope="session")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """The study with its data and baselines, before the sweep."""
    sweep = Sweep(tmp_path_factory.mktemp("baselines"), resources=INLINE)
    for stage in ("prepare", "baselines"):
        done = sweep.run(stage)
        assert done.returncode == 0, done.stdout + done.stderr
    return sweep


@pytest.fixture(scope="session")
def undisturbed(baselines: Sweep, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of trials of a sweep in one process that nothing happened to: what any sweep on Ray must give, too."""
    sweep = baselines.copy(tmp_path_factory.mktemp("undisturbed") / "study", INLINE)
    table = sweep.finish()
    sweep.check_every_trial_once()
    return table
