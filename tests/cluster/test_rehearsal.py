"""A study on three hosts that share nothing: submitted, and on a cluster that grows and shrinks while it runs.

The hosts are network namespaces, each with a disk of its own (`cluster/rehearsal`). Each study is
compared, byte by byte, with the same one on this machine alone.
"""

from __future__ import annotations

import copy
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cluster.rehearsal import rehearse
from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.state import FinishedTrial, Outcome
from tests.end_to_end.conftest import SUITE, TINY, Clone, make_clone

reason = rehearse.unavailable()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(reason is not None, reason=str(reason)),
]

EPOCHS = 30
PARAMS: dict[str, Any] = copy.deepcopy(TINY)
PARAMS["resources"] = {"checkpoint_seconds": 0, "worker_retries": 0}
PARAMS["suites"][SUITE]["data"] = {"dataset": {"multidigits": {"train": 1024, "val": 128, "test": 128}}}
PARAMS["suites"][SUITE]["training"]["epochs"] = EPOCHS
PARAMS["suites"][SUITE]["baselines"]["seeds"] = [0]
PARAMS["suites"][SUITE]["sweep"].update(
    weightings=["ours:Ours", "ours:Projected"], optimizers=["adam"], seeds=[0, 1, 2]
)
BASELINES, TRIALS = 3, 6

OURS = '''"""Weightings of the user's own, which no host but the user's has; slow where the environment says so."""

import os
import time

from mtlsweep.methods.weighting.gradient.pcgrad import PCGrad
from mtlsweep.methods.weighting.loss.ew import EqualWeighting

SECONDS = float(os.environ.get("SECONDS_A_STEP", "0"))


class Ours(EqualWeighting):
    """The plain sum, under another name."""

    def weigh(self, losses):
        time.sleep(SECONDS)
        return super().weigh(losses)


class Projected(PCGrad):
    """PCGrad, under another name."""

    def weigh(self, losses, gramian):
        time.sleep(SECONDS)
        return super().weigh(losses, gramian)
'''

STAGE = f"analyse@{SUITE}"
TABLES = [f"{stage}/{name}.parquet" for stage in ("baselines", "sweep") for name in ("curves", "outcomes")]


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The project as a user has it: cloned, with params and a module that are not committed."""
    clone = make_clone(tmp_path_factory.mktemp("laptop") / "study")
    clone.write_params(PARAMS)
    (clone.root / "ours.py").write_text(OURS)
    return clone


@pytest.fixture(scope="module")
def alone(laptop: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The study in one process on this machine alone."""
    clone = laptop.copy(tmp_path_factory.mktemp("alone") / "study")
    clone.write_params({**PARAMS, "resources": {"executor": "inline"}})
    clone.run("dvc", "repro", STAGE)
    return clone


@pytest.fixture(scope="module")
def hosts() -> Iterator[None]:
    """The three hosts; one test run at a time has them."""
    with rehearse.ROOT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rehearse.down()
        rehearse.up()
        environment = pytest.MonkeyPatch()
        for name, value in rehearse.client_environment().items():
            environment.setenv(name, value)
        yield
        environment.undo()
        rehearse.down()
    assert not rehearse.leftovers()


def on_head(place: str) -> Clone:
    """Return what the head has at `place` of its disk, seen from outside."""
    return Clone(rehearse.ROOT / rehearse.HEAD / place)


def finished(clone: Clone) -> list[FinishedTrial]:
    return list(Ledger(clone.root / "results", SUITE).read_all())


def check_same_tables(clone: Clone, other: Clone) -> None:
    for name in [*TABLES, "trials.parquet"]:
        assert (clone.results / name).read_bytes() == (other.results / name).read_bytes(), name


def test_the_hosts_share_no_disk_and_reject_a_wrong_token(hosts: None, capsys: pytest.CaptureFixture[str]) -> None:
    rehearse.check()
    assert "a driver with a wrong token was rejected" in capsys.readouterr().out
    assert rehearse.TOKEN.stat().st_mode & 0o777 == 0o600


def test_a_submitted_study_runs_on_all_hosts(hosts: None, laptop: Clone, alone: Clone) -> None:
    log = laptop.run("mtlsweep.cli.main", "submit", "--address", rehearse.JOB_ADDRESS, "--stage", STAGE).stdout
    assert f"running on the Ray cluster at {rehearse.RAY_ADDRESS}" in log
    assert f"analyse {SUITE}: {BASELINES + TRIALS} trials" in log, "the log is streamed to its end"
    assert not laptop.results.exists()
    home = on_head("mtlsweep/study")
    costs = pd.read_parquet(home.results / "costs.parquet")
    assert set(costs["host"]) == set(rehearse.HOSTS)
    assert len(costs) == BASELINES + TRIALS
    assert all((home.ledger / key / "best.safetensors").exists() for key in costs["trial_key"]), "from every host"
    for host in ("h2", "h3"):
        assert not list((rehearse.ROOT / host).rglob("results")), "workers write no results"
        assert len(list((rehearse.ROOT / host / "tmp").glob("mtlsweep-data-*/*/train.arrow"))) == 1, "data came once"
    assert not list((rehearse.ROOT / rehearse.HEAD / "tmp").glob("mtlsweep-data-*")), "the head has it anyway"
    check_same_tables(home, alone)


def test_a_second_submission_continues_the_first_one(hosts: None, laptop: Clone, alone: Clone) -> None:
    before = on_head("mtlsweep/study").ledger_times()
    log = laptop.run("mtlsweep.cli.main", "submit", "--address", rehearse.JOB_ADDRESS, "--stage", STAGE).stdout
    assert "running on" not in log
    assert on_head("mtlsweep/study").ledger_times() == before


def test_the_exit_code_of_a_job_is_that_of_its_submission(hosts: None, laptop: Clone) -> None:
    command = ["mtlsweep.cli.main", "submit", "--address", rehearse.JOB_ADDRESS, "--directory", "~/other"]
    done = laptop.run(*command, "--stage", "nonsense", check=False)
    assert done.returncode == 255, "what dvc exits with"
    assert "nonsense" in done.stdout


def test_a_job_server_rejects_a_wrong_token(hosts: None, laptop: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "guessed")
    done = laptop.run("mtlsweep.cli.main", "submit", "--address", rehearse.JOB_ADDRESS, check=False)
    assert done.returncode == 2
    assert "requires a token" in done.stderr and "Traceback" not in done.stderr


@dataclass(frozen=True)
class Fault:
    """What was known when a host was lost.

    Attributes:
        at: Unix time.
        trial: name of the trial that ran on the host.
        epoch: of that trial, as the driver knew it.
    """

    at: float
    trial: str
    epoch: int


class Watched:
    """A study that runs on the head.

    Args:
        clone: the study, as the head has it.
        process: `dvc repro`.
        log: its output.
    """

    def __init__(self, clone: Clone, process: subprocess.Popen[bytes], log: Path) -> None:
        self._clone = clone
        self._process = process
        self._log = log

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._process.poll() is not None:
                pytest.fail(f"the study ended before {what}:\n{self._log.read_text()}")
            time.sleep(0.1)

    def wait_for_sentence(self, sentence: str) -> None:
        self.wait_until(f"it said `{sentence}`", lambda: sentence in self._log.read_text())

    def wait_for_end_of_a_trial(self) -> None:
        self.wait_until("a trial of the sweep ended", lambda: any(map(is_swept, finished(self._clone))))

    def wait_for_work(self, *hosts: str) -> None:
        """Wait until every host is inside a trial, with an epoch or more behind it and several to go."""

        def at_work() -> bool:
            running = self._running()
            return sorted(one["host"] for one in running) == sorted(hosts) and all(
                1 <= one["epoch"] <= EPOCHS - 6 for one in running
            )

        self.wait_until(f"a trial ran on each of {hosts}", at_work)

    def lose(self, host: str, lose: Callable[[str], None]) -> Fault:
        """Lose a host, and wait until its trial has stopped to run there."""
        (known,) = [one for one in self._running() if one["host"] == host]
        fault = Fault(time.time(), known["name"], known["epoch"])
        lose(host)
        self.wait_until(f"{host} was missed", lambda: all(one["host"] != host for one in self._running()))
        return fault

    def _running(self) -> list[dict[str, Any]]:
        try:
            content = json.loads((self._clone.ledger / "progress-sweep.json").read_bytes())
        except FileNotFoundError:
            return []
        return list(content["running"])


def is_swept(one: FinishedTrial) -> bool:
    return one.trial.cell.role == "mtl"


def test_a_cluster_grows_and_shrinks_and_the_tables_are_those_of_one_host(
    hosts: None, laptop: Clone, alone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head runs no trials. One host comes 20 s late, one in the middle; one is cut off, one killed, one leaves."""
    monkeypatch.setenv("SECONDS_A_STEP", "0.02")
    rehearse.down()
    rehearse.up(growing=True)
    study = laptop.copy(on_head("grows").root)
    here = str(rehearse.SCRATCH / "grows")
    command = rehearse.on_host("h1", "env", "-C", here, sys.executable, "-m", "dvc", "repro", STAGE)
    environment = {**rehearse.host_environment(), "RAY_ADDRESS": rehearse.RAY_ADDRESS}
    path = tmp_path / "log"
    with (
        path.open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as run,
    ):
        try:
            watched = Watched(study, run, path)
            watched.wait_for_sentence("no host has room for a trial yet; the stage waits for one, at most 15 minutes")
            time.sleep(20)
            rehearse.join("h2")
            watched.wait_for_end_of_a_trial()
            rehearse.join("h3")
            watched.wait_for_work("h2", "h3")
            faults = [watched.lose("h3", rehearse.cut)]
            rehearse.join("h3")
            watched.wait_for_work("h2", "h3")
            faults.append(watched.lose("h2", rehearse.kill))
            rehearse.join("h2")
            watched.wait_for_work("h2", "h3")
            faults.append(watched.lose("h3", rehearse.leave))
            code = run.wait()
        finally:
            run.kill()
    assert code == 0, path.read_text()
    ended = finished(study)
    assert [one.state.outcome for one in ended] == [Outcome.DONE] * (BASELINES + TRIALS)
    assert {one.execution.host for one in ended} <= {"h2", "h3"}, "the head trains nothing"
    assert sum(one.execution.attempts - 1 for one in ended) == len(faults), "one start for each lost host"
    for fault in faults:
        (interrupted,) = [one for one in ended if is_swept(one) and one.trial.name == fault.trial]
        kept = sum(record.finished_at < fault.at for record in interrupted.state.curve)
        assert fault.epoch - 1 <= kept < EPOCHS, "it went on from its last checkpoint"
    check_same_tables(study, alone)
    check_device_seconds(ended)
    said = path.read_text()
    for sentence in ("one host with room for one trial", "2 hosts with room for 2 trials at once"):
        assert sentence in said
    rehearse.join("h3")
    rehearse.check()
    assert not list(study.ledger.glob("*/resume.pt")), "nothing a lost host still had to say was taken"


def check_device_seconds(ended: list[FinishedTrial]) -> None:
    """What is paid for is what trains, the starts of processes and the work that was lost; not the time without a host."""
    for one in ended:
        seconds = one.execution.device_seconds
        assert seconds is not None and one.execution.seconds <= seconds
        assert seconds <= one.execution.finished_at - one.execution.started_at


def test_down_leaves_nothing(hosts: None) -> None:
    rehearse.down()
    assert not rehearse.ROOT.exists() and not rehearse.leftovers()
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and str(rehearse.SCRATCH) in arguments(pid)]
    rehearse.down()  # again, where there is nothing


def arguments(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
