"""The lease: one sweep per suite at a time.

The holder keeps an exclusive lock on `<ledger>/lease.json` while it runs. The operating system
releases the lock when the holder ends for any reason, so a lease never becomes stale and needs no
timeout. The content names the holder, for users.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from mtlsweep.errors import UserError


class Lease:
    """Context manager that holds a suite's lease.

    Args:
        directory: the suite's ledger directory.
        suite: its name, for the message.
    """

    def __init__(self, directory: Path, suite: str) -> None:
        self._path = directory / "lease.json"
        self._suite = suite
        self._descriptor = -1

    def __enter__(self) -> Lease:
        """Take the lease.

        Raises:
            UserError: another process holds it; the message names the process.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._lock()
        except BlockingIOError:
            os.close(self._descriptor)
            holder = read_holder(self._path.parent) or {}
            raise UserError(
                f"a sweep of suite `{self._suite}` is already running: process {holder.get('pid', '?')} on "
                f"{holder.get('host', '?')} since {holder.get('since', '?')}; wait, or stop it with `kill {holder.get('pid', '?')}`."
            ) from None
        content = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(content).encode(), 0)
        return self

    @retry(
        retry=retry_if_exception_type(BlockingIOError), wait=wait_fixed(0.05), stop=stop_after_attempt(10), reraise=True
    )
    def _lock(self) -> None:
        """Take the lock; retry because `read_holder` in another process holds it for a moment."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def read_holder(directory: Path) -> dict[str, Any] | None:
    """Return pid, host and start time of the process that runs the sweep, or None."""
    path = directory / "lease.json"
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        content = os.pread(descriptor, 4096, 0)
        return dict(json.loads(content)) if content else {}
    finally:
        os.close(descriptor)
    return None
