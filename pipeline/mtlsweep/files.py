"""Text files of users, atomic file writes, and JSON with the same hash on every machine."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any


def read_text(path: Path) -> str:
    """Read a text file of a user: UTF-8, with or without the mark that some editors put at its start.

    Raises:
        ValueError: the file has another encoding; the message says where.
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"it is not UTF-8: line {line} holds byte 0x{content[error.start]:02x}; save the file as UTF-8"
        ) from error


def visible(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield those of `paths` that are not what macOS leaves beside files: `.DS_Store`, and `._name` for each `name`."""
    return (path for path in paths if path.name != ".DS_Store" and not path.name.startswith("._"))


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that the file is never partly written, even after a crash.

    Raises:
        OSError: the directory cannot be written or the disk is full; `path` is unchanged.
    """
    with open_atomically(path) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends, whole; not if it raises.

    Raises:
        OSError: the directory cannot be written or the disk is full; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename inside `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_if_changed(path: Path, content: bytes) -> None:
    """Write `content` to `path` as `write_atomically`, unless it is there already: a file of equal content keeps its time.

    Raises:
        OSError: the file cannot be read or written.
    """
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


def indented_json(value: Any) -> bytes:
    """Serialise `value` for readers, with a newline at its end."""
    return json.dumps(value, indent=1).encode() + b"\n"


def canonical_json(value: Any) -> bytes:
    """Serialise `value` with sorted keys and no spaces: equal values give equal bytes.

    Raises:
        ValueError: `value` contains a number that is not finite.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode()


def content_hash(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Return `sha256:` and the hash of a file's content; a file of known size and time of change is not read again.

    Raises:
        OSError: it cannot be read.
    """
    state = path.stat()
    return _file_hash(path.absolute(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _file_hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def encode_float(value: float) -> float | str:
    """Encode NaN and infinities, which JSON does not support, as strings."""
    return value if math.isfinite(value) else repr(float(value))


def decode_float(value: float | str) -> float:
    """Undo `encode_float`."""
    return float(value)
