"""The server of the live view answers loopback and nobody else, and nothing of a request reaches the disk."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlsweep.cli.watch.looking import Looking
from mtlsweep.cli.watch.server import make_server
from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from tests.small_study import call, small_study, write


@pytest.fixture
def port() -> Iterator[int]:
    with make_server(0, lambda: b"<p>page</p>") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def ask(port: int, path: str = "/", host: str | None = None, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_it_serves_one_page_with_the_headers_that_keep_others_out(port: int) -> None:
    status, content, headers = ask(port)
    assert (status, content) == (200, b"<p>page</p>")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert headers["Server"].strip() == "mtlsweep"
    assert ask(port, method="HEAD")[:2] == (200, b"")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5055", "localhost:9999", "[::1]:80"])
def test_names_of_loopback_are_answered_also_through_a_tunnel(port: int, host: str) -> None:
    assert ask(port, host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[", "10.0.0.1"]
)
def test_any_other_name_is_refused_lest_a_website_reads_the_page(port: int, host: str) -> None:
    status, content, _ = ask(port, host=host)
    assert status == 403
    assert b"page" not in content


@pytest.mark.parametrize("path", ["/../params.yaml", "/params.yaml", "/x/", "/%2e%2e/etc/passwd", "/?a=1"])
def test_a_path_chooses_nothing(port: int, path: str) -> None:
    assert ask(port, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_for_reading_only(port: int, method: str) -> None:
    assert ask(port, method=method)[0] == 501


def test_it_listens_on_loopback_only() -> None:
    with make_server(0, bytes) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match=r"cannot be used .* choose another one, such as"):
            make_server(taken.getsockname()[1], bytes)


def test_a_page_in_a_file_shows_a_study_whose_data_is_missing(in_directory: Path) -> None:
    write(small_study())
    code, output = call("watch", "--file", "live.html", "--once")
    assert (code, "live view: file://" in output) == (0, True)
    shown = (in_directory / "live.html").read_text()
    assert "0 of 4" in shown
    assert "no single-task trial is finished" in shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [(UserError("`active` is empty"), "`active` is empty."), (KeyError("epoch"), "KeyError: &#39;epoch&#39;.")],
    ids=["of a user", "of ours"],
)
def test_what_goes_wrong_is_said_and_an_unexpected_error_with_its_type(error: Exception, shown: str) -> None:
    def read_params() -> Params:
        raise error

    looking = Looking(["digits"], read_params)
    looking.look()
    assert shown in looking.page.decode().replace("<code>", "`").replace("</code>", "`")


def test_once_is_for_a_file(in_directory: Path) -> None:
    write(small_study())
    assert call("watch", "--once") == (
        2,
        "mtlsweep: `--once` writes one page to a file; say which with `--file PAGE.html`.",
    )
    code, output = call("watch", "digitz", "--file", "live.html", "--once")
    assert code == 2
    assert "did you mean `digits`?" in output
