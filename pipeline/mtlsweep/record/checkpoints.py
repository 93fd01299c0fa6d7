"""Files of a trial that training can create again: resume point, best weights, and the mark of a hang."""

from __future__ import annotations

from mtlsweep.record.storage import Storage

HUNG = "hung"
RESUME = "resume.pt"
BEST = "best.safetensors"


class Checkpoints:
    """The checkpoints in a ledger.

    Args:
        storage: of the ledger.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def save_resume(self, key: str, content: bytes) -> None:
        """Save the resume point of `key`; replace an earlier one."""
        self._storage.write(f"{key}/{RESUME}", content)

    def load_resume(self, key: str) -> bytes | None:
        """Return the resume point of `key`, or None."""
        return self._load(key, RESUME)

    def with_resume(self) -> set[str]:
        """Return the keys of the trials that have a point from which they continue."""
        return self._storage.keys_with(RESUME)[0]

    def drop_resume(self, key: str) -> int:
        """Delete the resume point of `key`; return the bytes freed."""
        return self._storage.remove(f"{key}/{RESUME}")

    def save_best(self, key: str, content: bytes) -> None:
        """Save the weights of the best epoch of `key` (safetensors)."""
        self._storage.write(f"{key}/{BEST}", content)

    def load_best(self, key: str) -> bytes | None:
        """Return the weights of the best epoch of `key` (safetensors), or None."""
        return self._load(key, BEST)

    def with_best(self) -> set[str]:
        """Return the keys of the trials that have the weights of their best epoch."""
        return self._storage.keys_with(BEST)[0]

    def has_best(self, key: str) -> bool:
        """Whether the weights of the best epoch of `key` are saved."""
        return self._storage.has(f"{key}/{BEST}")

    def drop_best(self, key: str) -> None:
        """Delete the weights of the best epoch of `key`; a stage that needs them trains the trial again."""
        self._storage.remove(f"{key}/{BEST}")

    def mark_hung(self, key: str) -> None:
        """Record that the process that trained `key` exceeded the time limit."""
        self._storage.write(f"{key}/{HUNG}", b"")

    def forget_hung(self, key: str) -> None:
        """Undo `mark_hung`: the trial starts again."""
        self._storage.remove(f"{key}/{HUNG}")

    def has_hung(self, key: str) -> bool:
        """Whether `mark_hung` was called for `key` since it last started."""
        return self._storage.has(f"{key}/{HUNG}")

    def _load(self, key: str, file: str) -> bytes | None:
        try:
            return self._storage.read(f"{key}/{file}")
        except FileNotFoundError:
            return None
