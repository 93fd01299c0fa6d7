"""The keeper of checkpoints: an actor on the driver's own host. It starts beside the workers, so it imports little."""

from __future__ import annotations

from pipeline.ledger import Ledger


class Keeper:
    """Writes checkpoints into the ledger, on the driver's own host."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._holders: dict[str, str] = {}

    def load_resume(self, key: str, holder: str) -> bytes | None:
        """Return where to go on with a trial, or None; from now on `holder` alone may save it."""
        self._holders[key] = holder
        return self._ledger.load_resume(key)

    def note_hang(self, key: str) -> None:
        """Remember that a trial took longer than it may."""
        self._ledger.note_hang(key)

    def save(self, key: str, holder: str, resume: bytes | None, best: bytes | None) -> None:
        """Keep a trial's best weights first, then its resume point, which counts on them.

        A worker whose host was cut off may come back with what is old by now; it is not heard.
        """
        if self._holders.get(key) != holder:
            return
        if best is not None:
            self._ledger.save_best(key, best)
        if resume is not None:
            self._ledger.save_resume(key, resume)
