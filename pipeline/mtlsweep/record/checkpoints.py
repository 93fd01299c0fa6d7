"""Files of a trial that training can create again: resume point, best weights, and the mark of a hang."""

from __future__ import annotations

from pathlib import Path

from mtlsweep.files import write_atomically

HUNG = "hung"
RESUME = "resume.pt"
BEST = "best.safetensors"


class Checkpoints:
    """The checkpoints in a ledger.

    Args:
        directory: directory of the ledger; each trial has a subdirectory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save_resume(self, key: str, content: bytes) -> None:
        """Save the resume point of `key`; replace an earlier one."""
        write_atomically(self._path(key, RESUME), content)

    def load_resume(self, key: str) -> bytes | None:
        """Return the resume point of `key`, or None."""
        path = self._path(key, RESUME)
        return path.read_bytes() if path.exists() else None

    def has_resume(self, key: str) -> bool:
        """Whether there is a point from which `key` continues."""
        return self._path(key, RESUME).exists()

    def drop_resume(self, key: str) -> int:
        """Delete the resume point of `key`; return the bytes freed."""
        path = self._path(key, RESUME)
        freed = path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        return freed

    def save_best(self, key: str, content: bytes) -> None:
        """Save the weights of the best epoch of `key` (safetensors)."""
        write_atomically(self._path(key, BEST), content)

    def has_best(self, key: str) -> bool:
        """Whether the weights of the best epoch of `key` are saved."""
        return self._path(key, BEST).exists()

    def drop_best(self, key: str) -> None:
        """Delete the weights of the best epoch of `key`; a stage that needs them trains the trial again."""
        self._path(key, BEST).unlink(missing_ok=True)

    def mark_hung(self, key: str) -> None:
        """Record that the process that trained `key` exceeded the time limit."""
        write_atomically(self._path(key, HUNG), b"")

    def forget_hung(self, key: str) -> None:
        """Undo `mark_hung`: the trial starts again."""
        self._path(key, HUNG).unlink(missing_ok=True)

    def has_hung(self, key: str) -> bool:
        """Whether `mark_hung` was called for `key` since it last started."""
        return self._path(key, HUNG).exists()

    def _path(self, key: str, name: str) -> Path:
        return self._directory / key / name
