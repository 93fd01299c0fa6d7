"""How far a sweep is: a live display on a terminal, a plain line every 30 s in a log."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pipeline.files import write_atomically
from pipeline.trials import FinishedTrial, Outcome, Trial

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_FILES = 2.0


@dataclass
class Progress:
    """Counts of one sweep, kept by its driver.

    Attributes:
        title: suite and stage.
        total: says how many trials the sweep has as far as is known now.
        slots: trials at once.
        outcomes: finished trials by outcome, those of earlier sweeps included.
        running: by trial key: name, epochs finished, epochs in all, Delta_m.
        seconds: cost of each trial that finished in this sweep.
        best: lowest validation Delta_m so far, and the trial that has it.
    """

    title: str
    total: Callable[[], int]
    slots: int = 1
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    running: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    best: tuple[float, str] = (math.inf, "")
    note: str | None = None
    begun_at: float = field(default_factory=time.time)

    def epoch(self, trial: Trial, epoch: int, delta_m: float | None) -> None:
        """Take in one epoch of a running trial."""
        self.running[trial.key] = {
            "name": trial.name,
            "epoch": epoch,
            "epochs": trial.cell.training.epochs,
            "delta_m": delta_m if delta_m is not None and math.isfinite(delta_m) else None,
        }
        if delta_m is not None and delta_m < self.best[0]:
            self.best = (delta_m, trial.name)

    def pause(self, paused: FinishedTrial) -> None:
        """Take in a trial that was stopped for now."""
        self.running.pop(paused.trial.key, None)

    def finish(self, finished: FinishedTrial) -> None:
        """Take in the end of a trial."""
        self.running.pop(finished.trial.key, None)
        self.outcomes[finished.result.outcome] += 1
        self.seconds.append(finished.execution.seconds)

    @property
    def eta_seconds(self) -> float | None:
        """Forecast of the time left, from the mean cost of the trials finished in this sweep."""
        if not self.seconds:
            return None
        left = self.total() - self.outcomes.total()
        begun = sum(entry["epoch"] / entry["epochs"] for entry in list(self.running.values()))
        return max(left - begun, 0) * sum(self.seconds) / len(self.seconds) / self.slots

    def line(self) -> str:
        """Return the state as one line."""
        parts = [f"{self.title}: {self.outcomes.total()}/{self.total()} finished"]
        parts += [
            f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()) if outcome is not Outcome.DONE
        ]
        parts.append(f"{len(self.running)} running")
        if self.eta_seconds is not None:
            parts.append(f"ETA {format_seconds(self.eta_seconds)}")
        if math.isfinite(self.best[0]):
            parts.append(f"best validation Delta_m {self.best[0]:+.2f} % ({self.best[1]})")
        return ", ".join(parts) + (f" [{self.note}]" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data, for `mtlsweep status`."""
        return {
            "title": self.title,
            "planned": self.total(),
            "outcomes": {outcome.value: count for outcome, count in sorted(self.outcomes.items())},
            "running": list(self.running.values()),
            "eta_seconds": self.eta_seconds,
            "trials_per_hour": 3600 * len(self.seconds) / (time.time() - self.begun_at),
            "best": {"delta_m": self.best[0], "trial": self.best[1]} if math.isfinite(self.best[0]) else None,
            "written_at": time.time(),
        }

    def table(self) -> Table:
        """Return the state as a table for a terminal."""
        table = Table(title=self.title, title_justify="left", box=None, pad_edge=False)
        for column in ("planned", "done", "running", "diverged", "failed", "ETA", "best validation Delta_m"):
            table.add_column(column, justify="right" if column != "best validation Delta_m" else "left")
        eta = format_seconds(self.eta_seconds) if self.eta_seconds is not None else "?"
        best = f"{self.best[0]:+.2f} %  {self.best[1]}" if math.isfinite(self.best[0]) else "-"
        counts = [self.outcomes[outcome] for outcome in (Outcome.DONE, Outcome.DIVERGED, Outcome.FAILED)]
        table.add_row(
            str(self.total()), str(counts[0]), str(len(self.running)), str(counts[1]), str(counts[2]), eta, best
        )
        if self.note:
            table.caption = self.note
        return table


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it: `42 s`, `3 min`, `2 h 05 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class ProgressDisplay:
    """Shows a `Progress` while a `with` block runs, and writes it to a file for other processes.

    Args:
        progress: what to show; it may change at any time.
        path: file for `mtlsweep status`.
    """

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress = progress
        self._path = path
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
        try:
            write_atomically(self._path, json.dumps(self._progress.to_json()).encode())
        except OSError as error:  # a full disk stops the sweep where results are written, not here
            self._progress.note = f"{self._path}: {error.strerror}"


def read_progress(path: Path) -> Mapping[str, Any] | None:
    """Return what a sweep last wrote about itself, or None."""
    try:
        content: Mapping[str, Any] = json.loads(path.read_bytes())
        return content
    except FileNotFoundError:
        return None
