"""The lease of a ledger in a folder.

The holder keeps an exclusive lock on `<ledger>/lease.json` while it runs. The operating system
releases the lock when the holder ends for any reason, so a lease never becomes stale and needs no
timeout. The content names the holder, for users, and has a token by which processes of an earlier
holder, which may outlive it, see that they must not write any more (`FolderFence`).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mtlsweep.errors import UserError

LEASE = "lease.json"
WRITERS = "writers.lock"

SECONDS_OF_A_READER = 0.5
"""`read_holder` in another process holds the lock of the lease for a moment."""

SECONDS_TO_FINISH_A_WRITE = 120.0
"""A process of an earlier sweep that writes a checkpoint when a lease is taken has this long to finish it."""

_UNKNOWN: Mapping[str, Any] = {"pid": 0, "host": "?", "since": "?"}


@dataclass(frozen=True)
class FolderFence:
    """Lets processes write to the ledger while the sweep that started them has the lease.

    Attributes:
        directory: the suite's ledger directory.
        token: of the lease.
    """

    directory: Path
    token: str

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Yield whether the lease is still that of this sweep; inside the block no other sweep can take it."""
        descriptor = os.open(self.directory / WRITERS, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield _read_content(self.directory / LEASE).get("token") == self.token
        finally:
            os.close(descriptor)


class Lease:
    """Context manager that holds a suite's lease.

    Args:
        directory: the suite's ledger directory.
        suite: its name, for the message.
    """

    def __init__(self, directory: Path, suite: str) -> None:
        self._path = directory / LEASE
        self.fence = FolderFence(directory, uuid.uuid4().hex)
        self._suite = suite
        self._descriptor = -1

    def __enter__(self) -> Lease:
        """Take the lease.

        Raises:
            UserError: another process holds it; the message names the process. Or a process of an earlier
                sweep does not finish writing a checkpoint.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor, SECONDS_OF_A_READER)
        except BlockingIOError:
            os.close(self._descriptor)
            holder = read_holder(self._path.parent) or _UNKNOWN
            raise UserError(
                f"a sweep of suite `{self._suite}` is already running: process {holder['pid'] or '?'} on "
                f"{holder['host']} since {holder['since']}; wait, or stop it with `mtlsweep stop {self._suite}`."
            ) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        content = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "token": self.fence.token}
        try:
            with self._no_writers():
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, json.dumps(content).encode(), 0)
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    @contextmanager
    def _no_writers(self) -> Iterator[None]:
        """Wait until no process of an earlier sweep writes; inside the block none can begin."""
        path = self._path.parent / WRITERS
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor, SECONDS_TO_FINISH_A_WRITE)
            yield
        except BlockingIOError:
            raise UserError(
                f"a process of an earlier sweep of suite `{self._suite}` still writes a checkpoint; "
                f"`fuser {path}` names it: end it, then start again."
            ) from None
        finally:
            os.close(descriptor)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def read_holder(directory: Path) -> dict[str, Any] | None:
    """Return pid, host and start time of the process that runs the sweep, or None.

    All are unknown ("?", and pid 0) in the instant in which the process has the lease and has not written them.
    """
    path = directory / LEASE
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return {**_UNKNOWN, **_read_content(path)}
    finally:
        os.close(descriptor)
    return None


def _lock(descriptor: int, seconds: float) -> None:
    """Take the exclusive lock of a file, within some seconds.

    Raises:
        BlockingIOError: another process holds it until then.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed  # `mtlsweep status` needs none

    waiting = Retrying(
        retry=retry_if_exception_type(BlockingIOError),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    waiting(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read_content(path: Path) -> dict[str, Any]:
    """Return the content of a lease; empty before its holder has written it and after the holder has ended."""
    try:
        return dict(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return {}
