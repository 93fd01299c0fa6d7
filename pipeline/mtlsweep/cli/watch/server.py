"""The server of the page: on loopback, for reading only. It takes no input from a request: it answers with the page or refuses."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mtlsweep.addresses import split_address
from mtlsweep.cli.watch.page import content_policy
from mtlsweep.errors import UserError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS_FOR_A_REQUEST = 10


def make_server(port: int, page: Callable[[], bytes]) -> ThreadingHTTPServer:
    """Return a server of `page` on loopback; port 0 is one that is free.

    A request whose Host header names anything but loopback is refused: a website could otherwise let its name point at
    127.0.0.1 and read the page in a visitor's browser (DNS rebinding). The port in it is free, so that a tunnel may have another.

    Raises:
        UserError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS_FOR_A_REQUEST
        server_version = "mtlsweep"
        sys_version = ""

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, with_body: bool) -> None:
            parts = split_address(f"http://{self.headers.get('Host', '')}")
            if parts is None or parts.hostname not in LOOPBACK:
                self.send_error(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 and localhost only")
            elif self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                content = page()
                self.send_response(HTTPStatus.OK)
                for name, value in {
                    "Content-Type": "text/html; charset=utf-8",
                    "Content-Length": str(len(content)),
                    "Cache-Control": "no-store",
                    "Content-Security-Policy": content_policy(),
                    "Cross-Origin-Resource-Policy": "same-origin",
                    "Referrer-Policy": "no-referrer",
                    "X-Content-Type-Options": "nosniff",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                if with_body:
                    self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are not logged."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise UserError(
            f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); perhaps another `mtlsweep watch` has it: "
            "choose another one, such as `mtlsweep watch --port 5056`."
        ) from error
