"""What `cluster/slurm/study.sbatch` leaves on a node and opens there, run with stand-ins for Slurm's commands, Ray and DVC."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.recipes import CLUSTER

# As Slurm does it: `srun` runs the command behind its options, and stops it with SIGTERM.
SRUN = 'while [[ $1 == --* ]]; do shift; done; exec "$@"'
SCONTROL = 'if [[ $2 == hostnames ]]; then printf "node1\\nnode2\\n"; else echo "NodeAddr=127.0.0.1"; fi'
# As Ray does it: its temporary directory is open to everybody.
RAY = """echo "$*" >> ray.txt
for option in "$@"; do [[ $option == --temp-dir=* ]] && mkdir -p "${option#*=}" && chmod 777 "${option#*=}"; done
echo ready >> hosts.txt; exec sleep 60"""
PYTHON = "until [[ $(grep -c ready hosts.txt 2>/dev/null) -ge $2 ]]; do sleep 0.05; done"
# As DVC does it: when it is stopped it leaves its stage, which ends later.
STAGE = 'trap "" TERM; touch started.txt; while kill -0 $1 2>/dev/null; do sleep 0.1; done; sleep 1; touch ended.txt'
DVC_WITH_STAGE = f"bash -c '{STAGE}' stage $$ & exec sleep 60"
DVC = 'stat --format="%a %n" /tmp/mtl-"$SLURM_JOB_ID"-* > directories.txt; echo "$TMPDIR" > scratch.txt'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "ray": RAY, "python": PYTHON, "dvc": DVC}.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


@pytest.fixture
def job() -> Iterator[int]:
    number = 10**9 + os.getpid() * 10  # no other process's, and none that Slurm gives
    yield number
    for directory in Path("/tmp").glob(f"mtl-{number}-*"):
        shutil.rmtree(directory)


def script(project: Path, job: int, restart: int = 0) -> subprocess.Popen[str]:
    own = {
        "SLURM_JOB_ID": job,
        "SLURM_RESTART_COUNT": restart,
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": 2,
    }
    environment = {**os.environ, **{name: str(value) for name, value in own.items()}, "SLURM_SUBMIT_DIR": str(project)}
    command = ["bash", str(CLUSTER / "slurm/study.sbatch")]
    return subprocess.Popen(
        command, env=environment, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def start(project: Path, job: int, restart: int = 0) -> None:
    running = script(project, job, restart)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    (project / "hosts.txt").unlink()


def ports(project: Path) -> set[str]:
    text = (project / "ray.txt").read_text()
    (project / "ray.txt").unlink()
    return set(re.findall(r" --(?:port|[\w-]+-port)=([1-9]\d*)", text))


def test_only_the_owner_can_enter_where_ray_writes_and_nothing_stays(project: Path, job: int) -> None:
    start(project, job)
    assert (project / "directories.txt").read_text().split("\n") == [f"700 /tmp/mtl-{job}-0", ""]
    assert (project / "scratch.txt").read_text() == f"/tmp/mtl-{job}-0\n"
    assert f"--temp-dir=/tmp/mtl-{job}-0/" in (project / "ray.txt").read_text()
    assert list(Path("/tmp").glob(f"mtl-{job}-*")) == []


def test_a_restart_removes_what_its_killed_start_left(project: Path, job: int) -> None:
    Path(f"/tmp/mtl-{job}-0/ray/session").mkdir(parents=True)
    start(project, job, restart=1)
    assert (project / "directories.txt").read_text().split("\n") == [f"700 /tmp/mtl-{job}-1", ""]
    assert list(Path("/tmp").glob(f"mtl-{job}-*")) == []


def test_jobs_and_restarts_on_one_node_open_different_ports(project: Path, job: int) -> None:
    opened = []
    for number, restart in [(job, 0), (job, 1), (job + 1, 0)]:
        start(project, number, restart)
        opened.append(ports(project))
    assert [len(own) for own in opened] == [3, 3, 3]  # the head's, the agents', and Ray's server for clients
    assert len(set.union(*opened)) == 9


def test_a_stopped_job_ends_after_its_stage(project: Path, job: int) -> None:
    (project / ".venv/bin/dvc").write_text(f"#!/usr/bin/env bash\n{DVC_WITH_STAGE}\n")
    running = script(project, job)
    while not (project / "started.txt").exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=60)
    assert (project / "ended.txt").exists(), output
    assert running.returncode == 128 + signal.SIGTERM
