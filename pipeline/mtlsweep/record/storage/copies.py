"""Copies of small objects on this machine's disk, for as long as the process lives."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path


class Copies:
    """What was last read or written of each object here; whoever keeps them sees to it that nobody else writes."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mtlsweep-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def keep(self, name: str, content: bytes) -> None:
        """Keep a copy; one that cannot be kept is fetched again."""
        path = self._folder / name
        new = path.with_name(f"{path.name}.{threading.get_ident()}")
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            new.write_bytes(content)
            new.replace(path)

    def drop(self, name: str) -> None:
        """Drop the copy, if there is one."""
        (self._folder / name).unlink(missing_ok=True)

    def find(self, name: str) -> bytes | None:
        """Return the copy, or None."""
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None
