"""A server of objects in this process: what of S3 a ledger uses, in memory, and answers that a test asks for.

It starts in a millisecond. That a real server agrees is what the tests with `tests.object_server` see, which take seconds.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "bucket"

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and content."""


def refusal(status: int, code: str = "", message: str = "") -> Answer:
    """Return an error as S3 words it; without a code it has no content, as that of a proxy."""
    return status, {}, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode() if code else b""


class MemoryServer(ThreadingHTTPServer):
    """Holds the objects of one bucket.

    Attributes:
        objects: name -> content.
        requests: method and name of every request.
        instead: called with the method and the name before each request; what it returns is the answer, unless it is None.
        afterwards: called with the method and the name after each request; what it returns replaces the answer, unless it is None.
        obeys_conditions: whether a conditional write may fail.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.instead: Callable[[str, str], Answer | None] = lambda method, name: None
        self.afterwards: Callable[[str, str], Answer | None] = lambda method, name: None
        self.obeys_conditions = True
        self._one = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, headers: Any, content: bytes) -> Answer:
        """Do what a request asks for and return its answer."""
        address = urlsplit(path)
        bucket, _, name = unquote(address.path).lstrip("/").partition("/")
        query = parse_qs(address.query, keep_blank_values=True)
        self.requests.append((method, name))
        if (asked_for := self.instead(method, name)) is not None:
            return asked_for
        answer = self._usual(method, bucket, name, query, headers, content)
        return self.afterwards(method, name) or answer

    def _usual(
        self, method: str, bucket: str, name: str, query: dict[str, list[str]], headers: Any, content: bytes
    ) -> Answer:
        if bucket != BUCKET:
            return refusal(404, "NoSuchBucket", "The specified bucket does not exist")
        with self._one:
            if method == "PUT":
                return self._put(name, headers, content)
            if method == "POST" and "delete" in query:
                keys = re.findall("<Key>([^<]*)</Key>", content.decode())
                for key in keys:
                    self.objects.pop(key, None)
                gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
                return 200, {}, f"<DeleteResult>{gone}</DeleteResult>".encode()
            if method == "DELETE":
                self.objects.pop(name, None)
                return 204, {}, b""
            if "list-type" in query:
                return 200, {}, self._listing(query.get("prefix", [""])[0])
            if name not in self.objects:
                return refusal(404, "NoSuchKey", "The specified key does not exist")
            found = self.objects[name]
            return 200, {"ETag": _tag(found), "Last-Modified": formatdate(0, usegmt=True)}, found

    def _put(self, name: str, headers: Any, content: bytes) -> Answer:
        found = self.objects.get(name)
        expected, absent = headers.get("if-match"), headers.get("if-none-match")
        if self.obeys_conditions and (
            (absent == "*" and found is not None) or (expected and (found is None or _tag(found) != expected))
        ):
            return refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        self.objects[name] = content
        return 200, {"ETag": _tag(content)}, b""

    def _listing(self, prefix: str) -> bytes:
        entries = "".join(
            f"<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{_tag(content)}</ETag><Size>{len(content)}</Size></Contents>"
            for name, content in sorted(self.objects.items())
            if name.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MemoryServer

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, text = self.server.answer(self.command, self.path, self.headers, content)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815  # as the library calls them

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextmanager
def memory_server() -> Iterator[MemoryServer]:
    """Run the server in a thread."""
    with MemoryServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
