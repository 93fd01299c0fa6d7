"""Files of a trial that can be made again by training it: resume point, best weights, and the mark of a hang."""

from __future__ import annotations

from pathlib import Path

from mtlsweep.files import write_atomically

HUNG = "hung"
RESUME = "resume.pt"
BEST = "best.safetensors"


class Checkpoints:
    """The checkpoints in a ledger.

    Args:
        directory: of the ledger; each trial has a directory in it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save_resume(self, key: str, content: bytes) -> None:
        """Keep where `key` has got to, in place of any earlier point."""
        write_atomically(self._path(key, RESUME), content)

    def load_resume(self, key: str) -> bytes | None:
        """Return where to go on with `key`, or None."""
        path = self._path(key, RESUME)
        return path.read_bytes() if path.exists() else None

    def drop_resume(self, key: str) -> int:
        """Drop where to go on with `key`; return the bytes freed."""
        path = self._path(key, RESUME)
        freed = path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        return freed

    def save_best(self, key: str, content: bytes) -> None:
        """Keep the weights of the best epoch of `key` (safetensors)."""
        write_atomically(self._path(key, BEST), content)

    def has_best(self, key: str) -> bool:
        """Whether the weights of the best epoch of `key` are kept."""
        return self._path(key, BEST).exists()

    def drop_best(self, key: str) -> None:
        """Drop the weights of the best epoch of `key`; whoever needs them trains it again."""
        self._path(key, BEST).unlink(missing_ok=True)

    def note_hang(self, key: str) -> None:
        """Remember that a process which trained `key` took longer than a trial may."""
        write_atomically(self._path(key, HUNG), b"")

    def has_hung(self, key: str) -> bool:
        """Whether `note_hang` was called for `key` since it was last forgotten."""
        return self._path(key, HUNG).exists()

    def _path(self, key: str, name: str) -> Path:
        return self._directory / key / name
