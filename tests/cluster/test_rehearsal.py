"""A study on three hosts that share nothing: submitted, attached, with a host killed and another cut off.

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
from collections.abc import Iterator, Mapping
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
PARAMS["resources"] = {"checkpoint_seconds": 0}
PARAMS["suites"][SUITE]["data"] = {"dataset": {"multidigits": {"train": 1024, "val": 128, "test": 128}}}
PARAMS["suites"][SUITE]["training"]["epochs"] = EPOCHS
PARAMS["suites"][SUITE]["baselines"]["seeds"] = [0]
PARAMS["suites"][SUITE]["sweep"].update(weightings=["ours:Ours", "pcgrad"], optimizers=["adam"])
BASELINES, TRIALS = 3, 4

OURS = '''"""A weighting of the user's own, which no host but the user's has."""

from mtlsweep.methods.weighting.loss.ew import EqualWeighting


class Ours(EqualWeighting):
    """The plain sum, under another name."""
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
        epochs: by trial name, how many epochs the driver knew of.
    """

    at: float
    epochs: Mapping[str, int]


def running_epochs(clone: Clone, stage: str) -> dict[str, int]:
    try:
        progress = json.loads((clone.ledger / f"progress-{stage}.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {trial["name"]: trial["epoch"] for trial in progress["running"]}


def wait_for_work(clone: Clone, stage: str, hosts: int, process: subprocess.Popen[bytes]) -> Fault:
    """Wait until every host is inside a trial, with an epoch or more behind it and several to go."""
    while process.poll() is None:
        epochs = running_epochs(clone, stage)
        if len(epochs) == hosts and all(1 <= epoch <= EPOCHS - 6 for epoch in epochs.values()):
            return Fault(time.time(), epochs)
        time.sleep(0.1)
    pytest.fail(f"the study ended before {stage} was under way on {hosts} hosts")


def check_lost_work(study: list[FinishedTrial], role: str, fault: Fault) -> None:
    """One trial was interrupted; it continued from its last checkpoint; one is sent each epoch."""
    interrupted = [one for one in study if one.trial.cell.role == role and one.execution.attempts > 1]
    assert len(interrupted) == 1
    assert interrupted[0].execution.attempts == 2
    kept = sum(record.finished_at < fault.at for record in interrupted[0].state.curve)
    assert fault.epochs[interrupted[0].trial.name] - 1 <= kept < EPOCHS
    assert kept >= 1


def test_a_cut_link_and_a_killed_host_cost_what_followed_the_last_checkpoint(
    hosts: None, laptop: Clone, alone: Clone, tmp_path: Path
) -> None:
    """The study is started on the head; h3 is disconnected during the baselines, the raylet of h2 is killed in the sweep."""
    study = laptop.copy(on_head("attached").root)
    here = str(rehearse.SCRATCH / "attached")
    command = rehearse.on_host("h1", "env", "-C", here, sys.executable, "-m", "dvc", "repro", STAGE)
    environment = {**rehearse.host_environment(), "RAY_ADDRESS": rehearse.RAY_ADDRESS}
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as run,
    ):
        try:
            cut = wait_for_work(study, "baselines", 3, run)
            rehearse.cut("h3")
            killed = wait_for_work(study, "sweep", 2, run)
            rehearse.kill("h2")
            code = run.wait()
        finally:
            run.kill()
    assert code == 0, (tmp_path / "log").read_text()
    ended = finished(study)
    assert [one.state.outcome for one in ended] == [Outcome.DONE] * (BASELINES + TRIALS)
    check_lost_work(ended, "stl", cut)
    check_lost_work(ended, "mtl", killed)
    check_same_tables(study, alone)
    for host in ("h2", "h3"):
        rehearse.mend(host)
    rehearse.check()
    assert not list(study.ledger.glob("*/resume.pt")), "nothing a lost host still had to say was taken"


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
