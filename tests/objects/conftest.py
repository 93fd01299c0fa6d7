"""A bucket of its own for each test, on one server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mtlsweep.addresses import StoreUri
from mtlsweep.sweep.lease import objects as lease
from tests.object_server import Line, make_bucket, name_server, object_server


@pytest.fixture(scope="session")
def server_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with object_server(tmp_path_factory.mktemp("objects")) as port:
        yield port


@pytest.fixture
def line(server_port: int, monkeypatch: pytest.MonkeyPatch) -> Line:
    """The line to the server that the environment names."""
    line = Line(server_port)
    name_server(monkeypatch, f"http://127.0.0.1:{line.port}")
    return line


@pytest.fixture
def root(line: Line, server_port: int) -> StoreUri:
    """An empty `resources.ledger_root`."""
    return make_bucket(server_port)


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease whose holder is taken for dead after two seconds, not half a minute."""
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_RENEWALS", 0.1)
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(lease, "SECONDS_UNTIL_GONE", 2.0)
