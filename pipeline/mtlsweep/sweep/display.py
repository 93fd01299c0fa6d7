"""Show the progress of a sweep: a live display on a terminal, plain lines in a log, a file for `mtlsweep status`."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live

from mtlsweep.params.suite import Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.progress import Progress

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_FILES = 2.0


class ProgressDisplay:
    """Shows a `Progress` while a `with` block runs, and writes it to a file for other processes.

    Args:
        progress: what to show; it may change at any time.
        ledger: gets a file that `mtlsweep status` reads.
        stage: which runs.
    """

    def __init__(self, progress: Progress, ledger: Ledger, stage: Stage) -> None:
        self._progress = progress
        self._storage, self._name = ledger.storage, _name(stage)
        self._written_at = -math.inf
        self._console = Console()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> ProgressDisplay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._written_at = -math.inf
        self._write_file()

    def _run(self) -> None:
        if self._console.is_terminal:
            with Live(self._progress.table(), console=self._console, refresh_per_second=2) as live:
                while not self._ended.wait(SECONDS_BETWEEN_FILES):
                    live.update(self._progress.table())
                    self._write_file()
                live.update(self._progress.table())
            return
        printed_at = -math.inf
        while True:
            ended = self._ended.wait(SECONDS_BETWEEN_FILES)
            self._write_file()
            if ended or time.monotonic() - printed_at >= SECONDS_BETWEEN_LINES:
                print(self._progress.line(), flush=True)
                printed_at = time.monotonic()
            if ended:
                return

    def _write_file(self) -> None:
        if time.monotonic() - self._written_at < self._storage.seconds_between_notes:
            return
        self._written_at = time.monotonic()
        try:
            self._storage.note(self._name, json.dumps(self._progress.to_json()).encode())
        except OSError as error:  # on a full disk, writing results stops the sweep
            self._progress.note = f"{self._storage.place}/{self._name}: {error.strerror or error}"


def read_progress(ledger: Ledger, stage: Stage) -> Mapping[str, Any] | None:
    """Return the latest progress that a sweep of the stage wrote, or None."""
    try:
        content: dict[str, Any] = json.loads(ledger.storage.read(_name(stage)))
    except FileNotFoundError:
        return None
    unsaid = {"host": ""}  # by a driver of an earlier version, which may still run
    return content | {"running": [unsaid | trial for trial in content.get("running", [])]}


def _name(stage: Stage) -> str:
    return f"progress-{stage}.json"
