"""The interface of a ledger's storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from mtlsweep.errors import UserError


class StoreError(UserError, OSError):
    """An object store does not do what it is asked to do; a sweep handles it like a disk that cannot be written."""


class Storage(Protocol):
    """Small files by name, `FILE` or `KEY/FILE`. A file is whole or absent, and what is written survives a crash.

    Every method may raise an `OSError`, which is a `StoreError` if the storage is an object store.

    Attributes:
        place: the folder's path, or the URI, for messages.
        remedy: what a user does when it cannot be written.
        seconds_between_notes: how often something that is only looked at may be written.
        lost: why this process may write no more, once that is known.
    """

    place: str
    remedy: str
    seconds_between_notes: float
    lost: UserError | None

    def prepare(self) -> None:
        """Check that files can be written, and kept from other sweeps.

        Raises:
            UserError: they cannot; the message says why, and what to do.
        """

    def write(self, name: str, content: bytes) -> None:
        """Write a file; replace an earlier one."""

    def write_first(self, name: str, content: bytes) -> bytes:
        """Write a file unless it is there; return what it holds then.

        Raises:
            UserError: it is not there, and cannot be written.
        """

    def note(self, name: str, content: bytes) -> None:
        """Write a file that is only looked at and replaced soon; an outage is not waited for."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it is not there.
        """

    def recall(self, name: str) -> bytes:
        """Return what a file holds; a sweep may have a copy of it.

        Raises:
            FileNotFoundError: it is not there.
        """

    def read_each(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of those of the named files that are there, in order."""

    def has(self, name: str) -> bool:
        """Whether a file is there."""

    def keys_with(self, *files: str) -> tuple[set[str], ...]:
        """Return for each of these files the keys that have it, `KEY/FILE`."""

    def remove(self, name: str) -> int:
        """Remove a file if it is there; return the bytes freed."""

    def remove_key(self, key: str) -> None:
        """Remove all files of a key."""

    def bytes_used(self) -> int:
        """Return the size of all files."""

    def wait_unless(self, stopped: Callable[[], bool]) -> None:
        """Let requests give up waiting for a server that is away once `stopped` is true."""
