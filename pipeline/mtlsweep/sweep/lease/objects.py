"""The lease of a ledger in an object store: an object that its holder renews.

Each renewal is a write that the server makes only if the object is still what the holder wrote last. A starter watches
the object: one that changes has a living holder; one that did not change for `SECONDS_UNTIL_GONE` of the starter's own
monotonic clock, in which the server answered, is taken over by a write of the same kind. So of several starters one wins,
and clocks of hosts and of the server play no part. A holder that was taken over for dead can write nothing any more: see
`mtlsweep.record.storage.objects`.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from mtlsweep.errors import UserError
from mtlsweep.record.storage.objects import LeaseLostError, ObjectStorage
from mtlsweep.record.storage.server import ConflictError, Server
from mtlsweep.record.storage.storage import StoreError

LEASE = "lease.json"

SECONDS_BETWEEN_RENEWALS = 5.0

SECONDS_UNTIL_GONE = 30.0
"""A holder that does not renew for so long is taken for dead."""

SECONDS_BETWEEN_LOOKS = 1.0

SECONDS_TO_END = 10.0
"""How long the end of a sweep waits for a renewal that hangs; the next sweep waits for the lease then."""

_RELEASED: dict[str, Any] = {}


@dataclass(frozen=True)
class ObjectFence:
    """Lets processes write to the ledger while the sweep that started them has the lease.

    Attributes:
        server: has the lease.
        suite: its name, for the message.
        token: of the lease.
    """

    server: Server
    suite: str
    token: str

    def check(self) -> None:
        """Look at the lease.

        Raises:
            LeaseLostError: it is no longer that of this sweep.
        """
        self.expect(_read(self.server)[0])

    def expect(self, content: Mapping[str, Any]) -> None:
        """Raise a `LeaseLostError` if the lease's content is not of this sweep."""
        if content.get("token") != self.token:
            by = f"process {content['pid']} on {content['host']}" if content else "another sweep, which has ended"
            raise LeaseLostError(
                f"the lease of suite `{self.suite}` was taken over by {by}, because this sweep did not renew it for "
                f"{SECONDS_UNTIL_GONE:.0f} s"
            )

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Yield True; a write that comes after the loss of the lease changes nothing, and ends the block silently."""
        with suppress(LeaseLostError):
            yield True


class ObjectLease:
    """Context manager that holds a suite's lease and renews it in a thread.

    Args:
        storage: of the suite's ledger; its writes depend on the lease until the end of the block.
        suite: its name, for the message.
    """

    def __init__(self, storage: ObjectStorage, suite: str) -> None:
        self._storage = storage
        self._server = storage.impatient
        self._suite = suite
        self._renewals = 0
        self._since = time.strftime("%Y-%m-%d %H:%M:%S")
        self._tag = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.fence = ObjectFence(storage.server, suite, uuid.uuid4().hex)

    def __enter__(self) -> ObjectLease:
        """Take the lease; wait for that until its last holder has been silent for long enough.

        Raises:
            UserError: another process holds it; the message names the process. Or the server does not do what it is asked to do.
        """
        tag = self._wait_for_turn()
        try:
            self._tag = self._server.put_if(LEASE, self._content(), tag)
        except ConflictError:
            content, self._tag = _read(self._server)
            if content.get("token") != self.fence.token:  # else it was written, and the answer was lost
                raise self._held(content) from None
        self._storage.hold(self.fence.check)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(SECONDS_TO_END)
        self._storage.hold(None)
        with suppress(StoreError):  # else the next sweep waits for it
            self._server.put_if(LEASE, json.dumps(_RELEASED).encode(), self._tag)

    def _wait_for_turn(self) -> str | None:
        """Return the tag of a lease that may be taken; None if there is none yet."""
        content, tag = _read(self._server)
        if not content:
            return tag or None
        print(
            f"the lease of suite `{self._suite}` is that of {_name(content)}; taken over if it is not renewed for "
            f"{SECONDS_UNTIL_GONE:.0f} s",
            flush=True,
        )
        if _changes(self._server, tag):
            content, tag = _read(self._server)
            if content:
                raise self._held(content)
        return tag or None

    def _renew(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_RENEWALS):
            self._renewals += 1
            try:
                self._tag = self._server.put_if(LEASE, self._content(), self._tag)
            except ConflictError:
                with suppress(StoreError):
                    content, tag = _read(self._server)
                    try:
                        self.fence.expect(content)
                    except LeaseLostError as lost:
                        self._storage.lost = lost
                        return
                    self._tag = tag  # it was written, and the answer was lost
            except StoreError:
                continue  # whoever wants to take over has to reach the server, too

    def _content(self) -> bytes:
        """Return the content of the lease; no two are the same, so that no two have one tag."""
        content = {"pid": os.getpid(), "host": socket.gethostname(), "since": self._since, "token": self.fence.token}
        return json.dumps({**content, "renewals": self._renewals}).encode()

    def _held(self, content: dict[str, Any]) -> UserError:
        return UserError(
            f"a sweep of suite `{self._suite}` is already running: {_name(content)}; wait, or stop it with "
            f"`mtlsweep stop {self._suite}`."
        )


def read_object_holder(storage: ObjectStorage) -> dict[str, Any] | None:
    """Return pid, host and start time of the process that has the lease, or None; it may have ended without a word."""
    content, _ = _read(storage.impatient)
    found = storage.impatient.find(LEASE)
    if not content or found is None:
        return None
    return {**content, "since": f"{content['since']}, last heard of at {found.written:%Y-%m-%d %H:%M:%S} UTC"}


def is_renewed(storage: ObjectStorage) -> bool:
    """Whether somebody holds the lease and renews it within `SECONDS_UNTIL_GONE`."""
    content, tag = _read(storage.impatient)
    return bool(content) and _changes(storage.impatient, tag) and bool(_read(storage.impatient)[0])


def _changes(server: Server, tag: str) -> bool:
    """Watch the lease until it changes; return False if it did not, and the server answered all the time."""
    silent, looked = 0.0, time.monotonic()
    while silent < SECONDS_UNTIL_GONE:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        found = server.find(LEASE)
        if found is None or found.tag != tag:
            return True
        now = time.monotonic()
        silent += min(now - looked, 2 * SECONDS_BETWEEN_LOOKS)  # an answer that was late says nothing of the holder
        looked = now
    return False


def _read(server: Server) -> tuple[dict[str, Any], str]:
    """Return content and tag of the lease; both are empty if it was never taken, the content alone if it was released."""
    try:
        content, tag = server.get(LEASE)
    except FileNotFoundError:
        return {}, ""
    return dict(json.loads(content)), tag


def _name(content: Mapping[str, Any]) -> str:
    return f"process {content['pid']} on {content['host']} since {content['since']}"
