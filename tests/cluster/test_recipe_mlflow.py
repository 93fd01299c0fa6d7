"""The MLflow of `cluster/compose` starts on a real PostgreSQL as it is written there, and asks for its password."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.recipes import CLUSTER, documents
from tests.servers import free_port, postgresql

pytestmark = pytest.mark.slow

PASSWORD = "chosen-by-the-user"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server: command and variables of the recipe, with the addresses of this machine."""
    home, port = tmp_path_factory.mktemp("mlflow"), free_port()
    (compose,) = documents(CLUSTER / "compose/compose.yaml")
    service = compose["services"]["mlflow"]
    command = [
        {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={port}"}.get(part, part)
        for part in service["command"]
    ]
    command[command.index("--artifacts-destination=s3://mlflow")] = f"--artifacts-destination={home / 'artifacts'}"
    with postgresql() as uri:
        given = {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_BACKEND_STORE_URI": uri}
        variables = {**os.environ, **service["environment"], **given}
        with (home / "log").open("wb") as log:
            program = [sys.executable, "-m", *command, "--workers=1"]
            server = subprocess.Popen(program, env=variables, cwd=home, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}", server, home / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, 9)
            server.wait()


def wait_until_healthy(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(log.read_text())


def status(address: str, path: str, password: str | None = None, **headers: str) -> int:
    if password is not None:
        headers["Authorization"] = f"Basic {b64encode(f'admin:{password}'.encode()).decode()}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_asks_for_the_password_of_the_environment(address: str) -> None:
    assert status(address, SEARCH, PASSWORD) == 200
    assert status(address, SEARCH) == 401
    assert status(address, SEARCH, "password1234") == 401, "MLflow's default of earlier days"


def test_it_refuses_the_name_of_another_site(address: str) -> None:
    """A page in the user's browser cannot reach it under a name of its own (DNS rebinding)."""
    assert status(address, SEARCH, PASSWORD, Host="evil.example") == 403
