"""Real servers on loopback that live as long as a test: MLflow's, and PostgreSQL's where it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def runs_of(uri: str) -> list[Run]:
    """Return all runs of the experiment `digits`."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


class MlflowServer:
    """A real MLflow server on loopback that can be stopped and started."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self._directory / 'server.db'}"]
        log = (self._directory / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        pytest.fail((self._directory / "server.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


class PostgreSQL:
    """A PostgreSQL server that can be stopped and started.

    Attributes:
        uri: of its database.
    """

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self._as_owner: list[str] = []
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            shutil.chown(directory, "postgres")
            self._as_owner = ["runuser", "-u", "postgres", "--"]
        self._port = free_port()
        self.uri = f"postgresql+psycopg2://mtlsweep@127.0.0.1:{self._port}/postgres"
        self._call("initdb", "--username=mtlsweep", "--auth=trust", "--no-sync")

    def start(self) -> None:
        options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._directory} -c fsync=off"
        )
        self._call("pg_ctl", "-w", "-l", str(self._directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-w", "-m", "immediate", "stop")

    def _call(self, program: str, *arguments: str) -> None:
        command = [*self._as_owner, str(self._programs / program), "-D", str(self._directory / "data"), *arguments]
        subprocess.run(command, check=True, cwd=self._directory, stdout=subprocess.DEVNULL)


@contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    """Run an empty PostgreSQL server; skip the test where none is installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(debian[-1]) if debian else None)
    if initdb is None:
        pytest.skip("no PostgreSQL here (Debian: apt-get install postgresql)")
    programs = Path(initdb).resolve().parent
    directory = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        server = PostgreSQL(programs, directory)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def postgresql() -> Iterator[str]:
    """Run an empty PostgreSQL server and yield the URI of its database; skip the test where none is installed."""
    with postgresql_server() as server:
        yield server.uri
