"""Single requests to an S3-compatible server: an outage is waited for, a refusal becomes one sentence.

Keys and the server's address come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_ENDPOINT_URL`, ...) or from the role of a cloud machine, and are kept nowhere else.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.record.storage.answers import is_conflict, is_outage, lacks_keys, reason_of, status_of
from mtlsweep.record.storage.storage import StoreError

if TYPE_CHECKING:
    from obstore.store import S3Store

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between two tries during an outage; each pause is twice the one before."""

SECONDS_BETWEEN_LOOKS = 0.5
"""How often a waiting request looks whether it should give up."""

LONGEST_OUTAGE = 6 * 3600.0
"""Seconds that a running sweep waits for its server."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")

T = TypeVar("T")


class ConflictError(StoreError):
    """The object is not what a conditional write expected."""


class OutageError(StoreError):
    """The server is away; the same request may succeed later."""


@dataclass(frozen=True)
class Found:
    """An object.

    Attributes:
        tag: changes with its content.
        size: in bytes.
        written: when, by the server's clock.
    """

    tag: str
    size: int
    written: datetime


class Server:
    """The objects of one folder of a bucket.

    Args:
        uri: of the folder.
        seconds: a request may take.

    Attributes:
        patience: seconds that a server that is away is waited for.
        stopped: whether it is waited for no longer.

    Raises:
        UserError: the package `obstore` is missing.
    """

    def __init__(self, uri: StoreUri, seconds: float) -> None:
        self.uri = uri
        self._seconds = seconds
        self.patience = 0.0
        self.stopped: Callable[[], bool] = _never
        try:
            import obstore  # noqa: F401
        except ImportError as error:
            raise UserError(
                f"`resources.ledger_root` is {uri}, which needs the package obstore: run `pip install 'mtlsweep[s3]'`."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the connection, which has keys in it; another process makes its own from its environment."""
        return {"uri": self.uri, "_seconds": self._seconds, "patience": self.patience, "stopped": _never}

    def get(self, name: str) -> tuple[bytes, str]:
        """Return content and tag of an object.

        Raises:
            FileNotFoundError: it is not there.
        """
        import obstore

        def request() -> tuple[bytes, str]:
            answer = obstore.get(self._store, name)
            return bytes(answer.bytes()), str(answer.meta["e_tag"])

        try:
            return self.ask(request)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._refusal(error) from error
            raise

    def find(self, name: str) -> Found | None:
        """Return tag and size of an object, or None."""
        import obstore

        try:
            found = self.ask(lambda: obstore.head(self._store, name))
        except FileNotFoundError:
            return None
        return Found(str(found["e_tag"]), found["size"], found["last_modified"])

    def put(self, name: str, content: bytes) -> str:
        """Write an object, whatever is there; return its tag."""
        return self._put(name, content, "overwrite")

    def put_if(self, name: str, content: bytes, tag: str | None) -> str:
        """Write an object if it has this tag still, or if it is absent still (None); return its new tag.

        Raises:
            ConflictError: somebody has written it meanwhile; perhaps an earlier try of this request.
        """
        return self._put(name, content, "create" if tag is None else {"e_tag": tag})

    def delete(self, name: str) -> None:
        """Delete an object if it is there."""
        import obstore

        self.ask(lambda: obstore.delete(self._store, name))

    def listed(self, folder: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield name and size of every object, or of those of one folder."""
        import obstore

        for page in self.ask(lambda: list(obstore.list(self._store, folder))):
            for found in page:
                yield found["path"], found["size"]

    def _put(self, name: str, content: bytes, mode: Any) -> str:
        import obstore
        from obstore.exceptions import BaseError

        try:  # in one part: only such a write can have a condition
            answer = self.ask(lambda: obstore.put(self._store, name, content, mode=mode, use_multipart=False))
        except BaseError as error:
            raise ConflictError(
                f"object store {self.uri}: `{name}` was written by somebody else meanwhile; run the same command again."
            ) from error
        except FileNotFoundError as error:
            raise self._refusal(error) from error
        return str(answer["e_tag"])

    def ask(self, request: Callable[[], T]) -> T:
        """Return what `request` does; wait while the server is away, at most `patience` seconds and while not `stopped`.

        Raises:
            BaseError: of obstore, if somebody else writes the same object.
            OutageError: the server stayed away.
            StoreError: it refuses.
        """
        from obstore.exceptions import BaseError

        began, pause = time.monotonic(), FIRST_PAUSE

        def answered() -> None:
            if pause > FIRST_PAUSE:
                logger.warning("object store %s answers again, after %.0f s", self.uri, time.monotonic() - began)

        while True:
            try:
                answer = request()
            except FileNotFoundError:
                answered()
                raise
            except BaseError as error:
                if is_conflict(error):
                    answered()
                    raise
                if not is_outage(error):
                    raise self._refusal(error) from error
                if self.stopped() or time.monotonic() - began >= self.patience:
                    raise self._outage(error) from error
                logger.warning(
                    "object store %s does not answer, next try in %g s: %s", self.uri, pause, reason_of(error)
                )
                self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                answered()
                return answer

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.stopped():
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def _outage(self, error: Exception) -> StoreError:
        if lacks_keys(error):
            return OutageError(
                f"object store {self.uri}: no keys are at hand; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment."
            )
        return OutageError(
            f"object store {self.uri}{self._where()} does not answer ({reason_of(error)}); start it, or correct AWS_ENDPOINT_URL "
            "and the network, then run the same command again."
        )

    def _refusal(self, error: Exception) -> StoreError:
        """Return in one sentence why the server does not do what it is asked to do."""
        text = str(error)
        if "NoSuchBucket" in text:
            return StoreError(
                f"object store {self.uri}: there is no bucket `{self.uri.bucket}`{self._where()}; make it, or correct "
                "`resources.ledger_root` in params.yaml."
            )
        if status_of(error) in (401, 403):
            return StoreError(
                f"object store {self.uri}: the server refuses the keys of the environment ({reason_of(error)}); "
                "they must allow to list, read and write there."
            )
        return StoreError(
            f"object store {self.uri}{self._where()} refused a request ({reason_of(error)}); see that AWS_ENDPOINT_URL and "
            "AWS_REGION are those of an S3-compatible server."
        )

    def _where(self) -> str:
        endpoint = _endpoint()
        return f" at {endpoint}" if endpoint else ""

    @cached_property
    def _store(self) -> S3Store:
        from obstore.store import S3Store

        endpoint = _endpoint() or ""
        return S3Store(
            self.uri.bucket,
            prefix=self.uri.folder or None,
            config={"endpoint": endpoint} if endpoint else {},
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=self._seconds),
            },
            retry_config={
                "max_retries": 2,
                "retry_timeout": timedelta(seconds=5),
                "backoff": {
                    "init_backoff": timedelta(seconds=0.1),
                    "max_backoff": timedelta(seconds=1),
                    "base": 2,
                },
            },
        )


def _never() -> bool:
    return False


def _endpoint() -> str | None:
    return next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None)
