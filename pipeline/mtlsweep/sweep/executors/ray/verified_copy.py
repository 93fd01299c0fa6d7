"""Copies of files that arrive in pieces, with the size and the SHA-256 of every file checked on arrival.

No library does this. `fsspec` and `pyarrow.fs` copy between stores that one process can open, but a worker
can open neither the driver's disk nor a server on that host. Only Ray's object store connects the two. So
the caller passes a function that reads a piece.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from mtlsweep.errors import UserError
from mtlsweep.files import visible

PIECE_BYTES = 16 * 2**20
"""What travels at once: small beside any object store."""

ReadPiece = Callable[[str, int], bytes]
"""Returns up to `PIECE_BYTES` of the named file from a byte on."""


class DamagedCopyError(UserError):
    """A file did not arrive as it was sent."""


@dataclass(frozen=True)
class FileContent:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


def describe_files(directory: Path) -> dict[str, FileContent]:
    """Return by name what the files of `directory` hold."""
    return {path.name: _content(path) for path in visible(directory.iterdir()) if path.is_file()}


def read_piece(path: Path, start: int) -> bytes:
    """Return up to `PIECE_BYTES` of a file from byte `start` on."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(PIECE_BYTES)


def copy_files(files: Mapping[str, FileContent], read: ReadPiece, directory: Path) -> None:
    """Write the files that `read` gives into `directory`; one that arrives damaged is fetched once more.

    Raises:
        DamagedCopyError: a file arrived damaged twice.
        OSError: the copy cannot be written.
    """
    for name, content in files.items():
        _copy_file(directory / name, content, read)


@retry(retry=retry_if_exception_type(DamagedCopyError), stop=stop_after_attempt(2), reraise=True)
def _copy_file(path: Path, sent: FileContent, read: ReadPiece) -> None:
    with path.open("wb") as file:
        for start in range(0, sent.size, PIECE_BYTES):
            file.write(read(path.name, start))
    arrived = _content(path)
    if arrived != sent:
        raise DamagedCopyError(
            f"prepared data: `{path.name}` arrives damaged on {os.uname().nodename} "
            f"({arrived.size} bytes with SHA-256 {arrived.sha256[:8]}, sent were {sent.size} with {sent.sha256[:8]}); "
            "check that host's disk, memory and network, then run `mtlsweep retry` and `dvc repro`."
        )


def _content(path: Path) -> FileContent:
    with path.open("rb") as file:
        return FileContent(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
