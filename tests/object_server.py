"""A real S3-compatible server on loopback (moto's), and a line to it that can be cut or changed."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mtlsweep.addresses import StoreUri
from tests.servers import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}


def name_server(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let the environment name a server and its keys."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)


@contextmanager
def object_server(directory: Path) -> Iterator[int]:
    """Run the server and yield its port."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (directory / "objects.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        else:
            pytest.fail((directory / "objects.log").read_text())
        yield port
    finally:
        process.kill()
        process.wait()


def make_bucket(port: int) -> StoreUri:
    """Make an empty bucket; return the URI of a folder in it."""
    name = f"bucket-{uuid.uuid4().hex}"
    region = "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request"  # all that moto reads of it
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT", headers={"Authorization": region})
    with urllib.request.urlopen(request):
        return StoreUri(name, "study/results")


class Line:
    """Passes connections on to a server, until it is cut.

    Args:
        port: of the server.
        forgets_conditions: whether the server does not get to see the conditions of a write.

    Attributes:
        port: to connect to.
    """

    def __init__(self, port: int, forgets_conditions: bool = False) -> None:
        self._server = port
        self._forgets_conditions = forgets_conditions
        self._ends: list[socket.socket] = []
        self.port = free_port()
        self.mend()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """From now on a connection is refused, and those that are open end in the middle of whatever they do."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                self._ends += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source, target:
            while data := source.recv(1 << 16):
                if self._forgets_conditions:
                    data = data.replace(b"if-match:", b"xx-match:").replace(b"if-none-match:", b"xx-none-match:")
                target.sendall(data)
