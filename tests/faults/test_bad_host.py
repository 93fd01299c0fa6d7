"""A host that cannot run trials costs attempts, and no trial its result: on a real Ray of two nodes, and in one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import mtlsweep.sweep  # noqa: F401
from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.state import FinishedTrial, Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2]

METHODS = '''
"""Weightings that fail by where they run."""
import errno
import ray, torch
from mtlsweep.methods.weighting.loss.ew import EqualWeighting

class FullDisk(EqualWeighting):
    def weigh(self, losses):
        if ray.get_runtime_context().get_node_id() == "BAD NODE":
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().weigh(losses)

class FullDiskToo(FullDisk): pass

class Spoils(EqualWeighting):
    def weigh(self, losses):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
'''


def params(weightings: list[str], **resources: Any) -> dict[str, Any]:
    return {
        "active": ["digits"],
        "suites": {
            "digits": {
                "data": {"dataset": {"multidigits": {"train": 64, "val": 64, "test": 64}}},
                "network": {"lenet": {"downsampling": "stride"}},
                "training": {"epochs": 2, "batch_size": 16},
                "baselines": {"learning_rates": [0.01], "seeds": [0]},
                "sweep": {
                    "weightings": weightings,
                    "optimizers": ["adam"],
                    "learning_rates": [0.01, 0.001],
                    "seeds": [0],
                    "strategy": "grid",
                },
            }
        },
        "resources": {"failed_share_limit": 1.0, **resources},
    }


def run(directory: Path, stage: str, content: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (directory / "params.yaml").write_text(yaml.safe_dump(content))
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "digits"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


def swept(directory: Path) -> list[FinishedTrial]:
    return [one for one in Ledger(directory / "results", "digits").read_all() if one.trial.cell.role == "mtl"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A directory with prepared data and baselines, which train in the stage's own process."""
    (tmp_path / "methods_of_mine.py").write_text(METHODS)
    for stage in ("prepare", "baselines"):
        done = run(tmp_path, stage, params(["ew"], executor="inline"))
        assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The address of a Ray of two nodes, and their ids."""
    from ray.cluster_utils import Cluster  # after `mtlsweep.sweep` has set Ray's environment

    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        yield cluster.address, [node.node_id for node in cluster.list_all_nodes()]
    finally:
        cluster.shutdown()


def test_a_full_disk_on_one_host_moves_its_trials_to_the_other(study: Path, two_nodes: tuple[str, list[str]]) -> None:
    address, (_, bad) = two_nodes
    content = params(["methods_of_mine:FullDisk", "methods_of_mine:FullDiskToo"], address=address)
    (study / "methods_of_mine.py").write_text(METHODS.replace("BAD NODE", bad))
    done = run(study, "sweep", content)
    assert done.returncode == 0, done.stdout + done.stderr
    ended = swept(study)
    assert [one.state.outcome for one in ended] == [Outcome.DONE] * 4
    assert max(one.execution.attempts for one in ended) == 2
    assert sum(one.execution.attempts - 1 for one in ended) <= 2  # after two cells the host gets no more


def test_where_every_host_is_bad_the_sweep_stops_and_the_next_run_trains(study: Path) -> None:
    weightings = ["methods_of_mine:FullDisk"]
    inline = params(weightings, executor="inline")
    here = METHODS.replace("ray.get_runtime_context().get_node_id()", '"BAD NODE"')
    (study / "methods_of_mine.py").write_text(here)
    done = run(study, "sweep", inline)
    assert done.returncode == 2
    assert "no host can run trials" in done.stderr
    assert "No space left on device" in done.stderr
    assert swept(study) == []
    (study / "methods_of_mine.py").write_text(here.replace('== "BAD NODE"', '== "another"'))
    assert run(study, "sweep", inline).returncode == 0
    assert [one.state.outcome for one in swept(study)] == [Outcome.DONE] * 2


def test_a_device_error_is_not_blamed_on_the_next_trial_of_its_process(study: Path) -> None:
    content = params(["ew", "methods_of_mine:Spoils", "uw"], worker_retries=0, concurrency=1)
    done = run(study, "sweep", content)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {(one.trial.cell.weighting_label, one.state.outcome, one.state.cause) for one in swept(study)}
    assert outcomes == {
        ("ew", Outcome.DONE, None),
        ("uw", Outcome.DONE, None),
        ("Spoils", Outcome.FAILED, "device"),
    }
