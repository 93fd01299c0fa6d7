"""The storage of a ledger in an S3-compatible object store, and how a sweep keeps an earlier one from writing.

A file is one object of the same name as in a folder, so a ledger can be copied either way with any tool.

**Only the sweep that holds the lease can change a file.** While this process holds it, each write has three steps:

1. Know the file's tag. It is the tag of the last write from here. Without one, the file is taken for absent; if this was wrong,
   its tag is read.
2. Look at the lease.
3. Write if the file still has that tag.

Whoever takes over the lease writes after step 2, which changes the tag. So step 3 fails, and step 2 of the next try names the
new holder. No clock is used.

Not all servers offer conditional deletion. So **a removed file is an object without content**, and an empty file is stored
as one newline.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Any

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.record.storage.copies import Copies
from mtlsweep.record.storage.server import LONGEST_OUTAGE, ConflictError, Server
from mtlsweep.record.storage.storage import StoreError

REQUESTS_AT_ONCE = 32

SECONDS_OF_A_FILE, SECONDS_OF_A_NOTE = 300.0, 10.0
"""Longest request for what may be large weights, and for what is always small."""

TRIES = 10
"""Of one conditional write. Each failed one means that somebody else wrote in between, or that an answer was lost."""


class LeaseLostError(StoreError):
    """Another sweep has taken over the lease."""


class ObjectStorage:
    """Files in a folder of a bucket.

    Args:
        uri: of the folder.

    Attributes:
        server: answers single requests; while a lease is held it waits during an outage.
        impatient: the same server, not waited for.
        check_holder: called between the looks at a file and the write of it; raises a `LeaseLostError`. None: this process
            holds no lease, and writes without a condition.

    Raises:
        UserError: the package for object stores is not installed.
    """

    remedy = "see that it can be reached and written"
    seconds_between_notes = 15.0

    def __init__(self, uri: StoreUri) -> None:
        self.place = str(uri)
        self.server, self.impatient = Server(uri, SECONDS_OF_A_FILE), Server(uri, SECONDS_OF_A_NOTE)
        self.check_holder: Callable[[], None] | None = None
        self.lost: UserError | None = None
        self._copies: Copies | None = None
        self._tags: dict[str, str] = {}

    def hold(self, check_holder: Callable[[], None] | None) -> None:
        """Write only as long as `check_holder` raises nothing, and wait for a server that is away; None ends that."""
        self.check_holder = check_holder
        self._copies = None if check_holder is None else Copies()
        self._tags.clear()
        self.server.patience = 0.0 if check_holder is None else LONGEST_OUTAGE

    def __getstate__(self) -> dict[str, Any]:
        """Leave the copies here; another process fetches its own."""
        return {**self.__dict__, "_copies": None}

    def prepare(self) -> None:
        """Check that objects can be written, and that the server keeps to the conditions of a write.

        Raises:
            UserError: they cannot, or it does not.
        """
        name = f".conditions-{uuid.uuid4().hex}"
        first = self.server.put_if(name, b"first", None)
        try:
            ignored = not (self._conflicts(name, None) and self._conflicts(name, '"00000000000000000000000000000000"'))
            with suppress(ConflictError):
                if not ignored:
                    self.server.put_if(name, b"third", first)
                    return
        finally:
            self.server.delete(name)
        raise UserError(
            f"object store {self.place}: the server ignores the conditions of a write (If-None-Match, If-Match), without which two "
            "sweeps could write one ledger; use a server that obeys them, such as AWS S3, MinIO, Ceph or SeaweedFS."
        )

    def write(self, name: str, content: bytes) -> None:
        """Write a file; replace an earlier one.

        Raises:
            LeaseLostError: another sweep has taken over; the file is as it was.
            StoreError: the server refuses, or stays away.
        """
        self._write(name, content or b"\n")

    def write_first(self, name: str, content: bytes) -> bytes:
        """Write a file unless it is there; return what it holds then."""
        with suppress(ConflictError):
            self.server.put_if(name, content, None)
        return self.read(name)

    def note(self, name: str, content: bytes) -> None:
        """Write a file that is only looked at; of two sweeps the last one may win, and an outage is not waited for."""
        self.impatient.put(name, content)

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        content, _ = self.server.get(name)
        if not content:
            raise FileNotFoundError(name)
        return content

    def recall(self, name: str) -> bytes:
        """Return what a file holds; a sweep, which alone changes it, fetches it once and has a copy from then on.

        Raises:
            FileNotFoundError: it is not there.
        """
        if self._copies is None:
            return self.read(name)
        content = self._copies.find(name)
        if content is None:
            content = self.read(name)
            self._copies.keep(name, content)
        return content

    def read_each(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of those of the named files that are there, in order; many are read at once."""
        rest = iter(names)
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            begun = deque((name, pool.submit(self._read_if_there, name)) for name in islice(rest, 2 * REQUESTS_AT_ONCE))
            while begun:
                name, answer = begun.popleft()
                begun.extend((following, pool.submit(self._read_if_there, following)) for following in islice(rest, 1))
                content = answer.result()
                if content is not None:
                    if self._copies is not None:
                        self._copies.keep(name, content)
                    yield name, content

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        found = self.server.find(name)
        return found is not None and found.size > 0

    def keys_with(self, *files: str) -> tuple[set[str], ...]:
        """Return for each of these files the keys that have it, from one listing of all."""
        found: dict[str, set[str]] = {file: set() for file in files}
        for name, size in self.server.listed():
            key, _, file = name.rpartition("/")
            if size > 0 and file in found:
                found[file].add(key)
        return tuple(found.values())

    def remove(self, name: str) -> int:
        """Remove a file if it is there; return the bytes freed."""
        found = self.server.find(name)
        if found is None or not found.size:
            return 0
        self._tags[name] = found.tag
        self._write(name, b"")
        return found.size

    def remove_key(self, key: str) -> None:
        """Remove all files of a key."""
        for name, _ in list(self.server.listed(f"{key}/")):
            self.remove(name)

    def bytes_used(self) -> int:
        """Return the size of all files."""
        return sum(size for _, size in self.server.listed())

    def wait_unless(self, stopped: Callable[[], bool]) -> None:
        """Give up waiting for a server that is away once `stopped` is true."""
        self.server.stopped = stopped

    def _write(self, name: str, content: bytes) -> None:
        if self.check_holder is None:
            self.server.put(name, content)
            return
        for _ in range(TRIES):
            tag = self._tags.pop(name, None)  # known before the look at the lease: see above
            self.check_holder()
            if self._copies is not None:
                self._copies.drop(name)
            try:
                self._tags[name] = self.server.put_if(name, content, tag)
                return
            except ConflictError:
                found = self.server.find(name)
                if found is not None:
                    self._tags[name] = found.tag
        raise StoreError(
            f"object store {self.place}: another process changed `{name}` at every attempt to write it; stop that process."
        )

    def _read_if_there(self, name: str) -> bytes | None:
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def _conflicts(self, name: str, tag: str | None) -> bool:
        """Whether the server refuses a conditional write that it has to refuse."""
        try:
            self.server.put_if(name, b"second", tag)
        except ConflictError:
            return True
        return False
