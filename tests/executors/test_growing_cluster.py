"""A real Ray cluster that grows and shrinks while a stage runs: a head without CPUs, a late host, another one, one that dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.stage import run_stage
from mtlsweep.trials.state import FinishedTrial, Outcome
from tests.forks import environment

pytestmark = pytest.mark.slow

SUITE = "digits"
SLOW = '''
"""Equal weights, slowly; writes down where a trial begins."""
import os, time
import ray
from mtlsweep.methods.weighting.loss.ew import EqualWeighting

class Slow(EqualWeighting):
    begun = False
    def weigh(self, losses):
        if not self.begun:
            self.begun = True
            with open(os.environ["NODES"], "a") as file:
                file.write(ray.get_runtime_context().get_node_id() + "\\n")
        time.sleep(0.25)
        return super().weigh(losses)
'''


class Hosts:
    """The hosts of a cluster that begins with a head without CPUs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address: str = self._read()
        self.ids: list[str] = []

    def add(self) -> None:
        self._write("add")
        self.ids.append(self._read())

    def kill(self, host: str) -> None:
        self._write(f"kill {host}")

    def _write(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return str(json.loads(self._process.stdout.readline()))


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    os.environ.setdefault("RAY_AUTH_TOKEN", "only-for-these-tests")  # for later tests of this process, too
    monkeypatch.setenv("NODES", str(tmp_path / "nodes"))
    command = [sys.executable, str(Path(__file__).with_name("hosts_on_demand.py"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        yield Hosts(process)
    assert process.returncode == 0


def begun() -> list[str]:
    """Return the host of each trial that began, in the order of their beginnings."""
    path = Path(os.environ["NODES"])
    return path.read_text().split() if path.exists() else []


def swept() -> list[FinishedTrial]:
    return [one for one in Ledger(Path("results"), SUITE).read_all() if one.trial.cell.role == "mtl"]


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_late_hosts_are_used_and_a_lost_one_costs_no_retry(
    study: Callable[..., Params],
    hosts: Hosts,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import ray

    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("slow.py").write_text(SLOW)
    pending: list[int] = []

    def change_hosts() -> None:
        time.sleep(3)
        hosts.add()
        wait_until(lambda: len(swept()) == 1)
        groups = ray.util.placement_group_table().values()
        pending.append(sum(group["state"] == "PENDING" for group in groups))
        hosts.add()
        wait_until(lambda: hosts.ids[1] in begun())
        before = begun().count(hosts.ids[0])
        wait_until(lambda: begun().count(hosts.ids[0]) > before)
        hosts.kill(hosts.ids[0])

    params = study(
        {
            "executor": "ray",
            "address": hosts.address,
            "concurrency": 3,
            "worker_retries": 0,
            "wait_minutes": 1,
            "checkpoint_seconds": 0,
        },
        strategy="grid",
        weightings=["slow:Slow"],
        learning_rates=[0.01, 0.005, 0.002, 0.001],
        seeds=[0, 1],
    )
    changes = threading.Thread(target=change_hosts, daemon=True)
    changes.start()
    run_stage(params, SUITE, "sweep")
    changes.join()

    out = capfd.readouterr().out
    said = [
        "no host has room for a trial yet; the stage waits for one, at most one minute",
        "one host with room for one trial",
        "2 hosts with room for 2 trials at once",
    ]
    assert [out.index(sentence) for sentence in said] == sorted(out.index(sentence) for sentence in said)
    assert pending == [2], "the demand that an autoscaler sees: the concurrency without what runs"
    ended = swept()
    assert [one.state.outcome for one in ended] == [Outcome.DONE] * 8
    assert sorted(one.execution.attempts for one in ended) == [1] * 7 + [2]
    assert set(begun()) == set(hosts.ids)

    for one in ended:
        assert one.execution.device_seconds is not None
        assert one.execution.device_seconds >= one.execution.seconds > 0
    costs = pd.read_parquet(Path("results") / SUITE / "costs.parquet")
    assert costs["attempts"].max() == 2
