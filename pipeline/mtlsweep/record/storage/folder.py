"""The storage of a ledger in a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from mtlsweep.errors import UserError
from mtlsweep.files import write_atomically


class FolderStorage:
    """Files in a folder, each written under a temporary name, synced and renamed.

    Args:
        directory: absolute; it is made by the first write.
    """

    remedy = "free disk space or make it writable"
    seconds_between_notes = 0.0
    lost: UserError | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.place = str(directory)

    def prepare(self) -> None:
        """Create the folder and check that it is writable.

        Raises:
            UserError: it is not.
        """
        self._write_own(".writable", b"")

    def write(self, name: str, content: bytes) -> None:
        """Write a file; replace an earlier one."""
        write_atomically(self.directory / name, content)

    def write_first(self, name: str, content: bytes) -> bytes:
        """Write a file unless it is there; return what it holds then.

        Raises:
            UserError: it is not there, and the folder is not writable.
        """
        if not self.has(name):
            self._write_own(name, content)
        return self.read(name)

    def note(self, name: str, content: bytes) -> None:
        """Write a file; replace an earlier one."""
        self.write(name, content)

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        The path is text and the file has no buffer, as a `Path` and a buffer take as long as the rest, and
        `mtlsweep status` reads thousands.

        Raises:
            FileNotFoundError: it is not there.
        """
        with FileIO(f"{self.place}/{name}") as file:
            return file.readall()

    def recall(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        return self.read(name)

    def read_each(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of those of the named files that are there, in order."""
        for name in names:
            try:
                content = self.read(name)
            except FileNotFoundError:
                continue
            yield name, content

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return os.access(f"{self.place}/{name}", os.F_OK)

    def keys_with(self, *files: str) -> tuple[set[str], ...]:
        """Return for each of these files the keys that have it, `KEY/FILE`. `Path.glob` takes ten times as long."""
        keys = os.listdir(self.directory) if self.directory.exists() else []
        return tuple({key for key in keys if os.access(f"{self.place}/{key}/{file}", os.F_OK)} for file in files)

    def remove(self, name: str) -> int:
        """Remove a file if it is there; return the bytes freed."""
        path = self.directory / name
        freed = path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        return freed

    def remove_key(self, key: str) -> None:
        """Remove the folder of a key."""
        shutil.rmtree(self.directory / key, ignore_errors=True)

    def bytes_used(self) -> int:
        """Return the size of all files."""
        return _bytes_in(self.place) if self.directory.exists() else 0

    def wait_unless(self, stopped: Callable[[], bool]) -> None:
        """Do nothing: a disk is not waited for."""

    def _write_own(self, name: str, content: bytes) -> None:
        """Write a file of the ledger itself."""
        try:
            self.write(name, content)
        except OSError as error:
            raise UserError(
                f"ledger directory `{self.directory}` cannot be written ({error.strerror}); "
                "make it writable, or set `resources.ledger_root` in params.yaml to a writable directory."
            ) from error


def _bytes_in(directory: str) -> int:
    """Return the bytes of all files in a directory; a file may vanish meanwhile. `Path.rglob` takes five times as long."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                total += _bytes_in(entry.path) if entry.is_dir(follow_symlinks=False) else entry.stat().st_size
    return total
