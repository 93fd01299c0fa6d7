"""A host that cannot run trials costs attempts, and no trial its result: on a real Ray of two nodes, and in one process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.state import FinishedTrial, Outcome
from tests.forks import environment, run_module

from .conftest import INLINE, SUITE, TINY, Sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

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


def sweep(study: Sweep, weightings: list[str], **resources: Any) -> subprocess.CompletedProcess[str]:
    grid = {**TINY["suites"][SUITE]["sweep"], "strategy": "grid", "optimizers": ["adam"], "seeds": [0]}
    suite = {**TINY["suites"][SUITE], "sweep": {**grid, "weightings": weightings}}
    content = {**TINY, "suites": {SUITE: suite}, "resources": {"failed_share_limit": 1.0, **resources}}
    (study.root / "params.yaml").write_text(yaml.safe_dump(content))
    return run_module(study.root, "stages.sweep", SUITE)


def swept(study: Sweep) -> list[FinishedTrial]:
    return [one for one in Ledger(study.root / "results", SUITE).read_all() if one.trial.cell.role == "mtl"]


@pytest.fixture
def study(baselines: Sweep, tmp_path: Path) -> Sweep:
    """A study with its data, its baselines and the methods above."""
    copied = baselines.copy(tmp_path / "study")
    (copied.root / "methods_of_mine.py").write_text(METHODS)
    return copied


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The address of a Ray of two nodes, and their ids."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    command = [sys.executable, str(Path(__file__).with_name("two_nodes.py"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as ray:
        assert ray.stdout is not None
        address, nodes = json.loads(ray.stdout.readline())
        yield address, nodes
    assert ray.returncode == 0


def test_a_full_disk_on_one_host_moves_its_trials_to_the_other(study: Sweep, two_nodes: tuple[str, list[str]]) -> None:
    address, (_, bad) = two_nodes
    (study.root / "methods_of_mine.py").write_text(METHODS.replace("BAD NODE", bad))
    done = sweep(study, ["methods_of_mine:FullDisk", "methods_of_mine:FullDiskToo"], address=address)
    assert done.returncode == 0, done.stdout + done.stderr
    ended = swept(study)
    assert [one.state.outcome for one in ended] == [Outcome.DONE] * 4
    assert max(one.execution.attempts for one in ended) == 2
    assert sum(one.execution.attempts - 1 for one in ended) <= 2  # after two cells the host gets no more


def test_where_every_host_is_bad_the_sweep_stops_and_the_next_run_trains(study: Sweep) -> None:
    weightings = ["methods_of_mine:FullDisk"]
    here = METHODS.replace("ray.get_runtime_context().get_node_id()", '"BAD NODE"')
    (study.root / "methods_of_mine.py").write_text(here)
    done = sweep(study, weightings, **INLINE)
    assert done.returncode == 2
    assert "no host can run trials" in done.stderr
    assert "No space left on device" in done.stderr
    assert swept(study) == []
    (study.root / "methods_of_mine.py").write_text(here.replace('== "BAD NODE"', '== "another"'))
    assert sweep(study, weightings, **INLINE).returncode == 0
    assert [one.state.outcome for one in swept(study)] == [Outcome.DONE] * 2


def test_a_device_error_is_not_blamed_on_the_next_trial_of_its_process(study: Sweep) -> None:
    done = sweep(study, ["ew", "methods_of_mine:Spoils", "uw"], worker_retries=0, concurrency=1)
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {(one.trial.cell.weighting_label, one.state.outcome, one.state.cause) for one in swept(study)}
    assert outcomes == {
        ("ew", Outcome.DONE, None),
        ("uw", Outcome.DONE, None),
        ("Spoils", Outcome.FAILED, "device"),
    }
