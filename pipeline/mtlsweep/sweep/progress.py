"""Progress of a sweep: counts of trials and epochs, what runs, and the best result so far."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from mtlsweep.sweep.device_clock import DeviceClock
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Outcome
from mtlsweep.trials.trial import Trial


@dataclass
class Running:
    """A running trial: `epoch` includes earlier runs, `trained` counts epochs since this start, `host` is empty until the first."""

    trial: Trial
    epoch: int = 0
    trained: int = 0
    delta_m: float | None = None
    host: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, for `mtlsweep status`."""
        epochs = self.trial.cell.training.epochs
        return {
            "name": self.trial.name,
            "host": self.host,
            "epoch": self.epoch,
            "epochs": epochs,
            "delta_m": self.delta_m,
        }


@dataclass
class Progress:
    """Counts of one sweep. Only the driver's thread changes them; other threads read them.

    Attributes:
        title: suite and stage.
        planned: number of trials that the strategy knows now.
        epochs_left: by method; see `Strategy.epochs_left`.
        ended: outcome of each finished trial by its key, including earlier runs; a pruned trial that is continued is
            not among them.
        running: by trial key.
        best: lowest validation Delta_m so far, and its trial.
        note: an extra message for users.
        devices: sentences on which devices trials run or wait for, and how many share one.
        clock: counts the time in which trials hold devices.
        last_ended_at: Unix time in seconds at which a trial paused or finished last; before that, of the first start.
    """

    title: str
    planned: int
    epochs_left: Mapping[str, int]
    ended: dict[str, Outcome] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    best: tuple[float, str] = (math.inf, "")
    note: str | None = None
    devices: Sequence[str] = ()
    clock: DeviceClock = field(default_factory=DeviceClock)
    last_ended_at: float = field(default_factory=time.time)
    _finished: int = 0
    _longest: int = 0
    _epochs: Counter[str] = field(default_factory=Counter)
    _seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _started_at: float = field(default_factory=time.time)
    _unfinished_from: dict[str, float] = field(default_factory=dict)  # device-seconds when a trial started, by key

    def start(self, trial: Trial) -> None:
        """Add a trial that starts, or starts again; the time counts from the first trial on."""
        if not self.running and not self._epochs:
            self._started_at = self.last_ended_at = time.time()
        self._longest = max(self._longest, trial.cell.training.epochs)
        self.ended.pop(trial.key, None)
        self._unfinished_from.setdefault(trial.key, self.clock.seconds_of(trial.key))
        self.clock.start(trial.key)
        self.running[trial.key] = Running(trial)

    def epoch(self, trial: Trial, record: EpochRecord, delta_m: float | None, host: str = "") -> None:
        """Add one epoch of a running trial, and the host that trained it."""
        running = self.running[trial.key]
        running.epoch, running.trained, running.host = record.epoch, running.trained + 1, host
        running.delta_m = delta_m if delta_m is not None and math.isfinite(delta_m) else None
        self._epochs[trial.cell.method] += 1
        self._seconds[trial.cell.method] += record.seconds
        if delta_m is not None and delta_m < self.best[0]:
            self.best = (delta_m, trial.name)

    def interrupt(self, trial: Trial) -> None:
        """Remove a trial that has lost its device; it starts again where there is another one."""
        self.clock.stop(trial.key)
        self.running.pop(trial.key, None)

    def stop(self, trial: Trial) -> None:
        """Remove a trial that no longer runs: it paused or finished."""
        self.interrupt(trial)
        self._unfinished_from.pop(trial.key, None)
        self.last_ended_at = time.time()

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """Count a finished trial."""
        self.ended[trial.key] = outcome
        self._finished += 1

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Finished trials by outcome."""
        return Counter(list(self.ended.values()))

    @property
    def total(self) -> int:
        """Number of trials: those planned, or those there are, which a strategy that was changed may not all want."""
        return max(self.planned, len(self.ended) + len(self.running))

    @property
    def trial_seconds(self) -> float | None:
        """Expected seconds of a whole trial, by the slowest method observed; None before the first epoch."""
        slowest = [self._seconds[method] / count for method, count in list(self._epochs.items()) if count]
        return max(slowest) * self._longest if slowest else None

    @property
    def device_seconds_left(self) -> float | None:
        """Estimated seconds of training left: epochs left times the mean cost of their method; None before the first epoch."""
        busy, epochs = sum(self._seconds.values()), self._epochs.total()
        if not busy:
            return None

        def cost(method: str) -> float:
            seen = self._epochs[method]
            return self._seconds[method] / seen if seen else busy / epochs

        left = sum(count * cost(method) for method, count in self.epochs_left.items())
        already_trained = sum(one.trained * cost(one.trial.cell.method) for one in list(self.running.values()))
        return max(left - already_trained, 0.0)

    @property
    def device_seconds_unfinished(self) -> float:
        """Device-seconds of trials since they started, without those that paused or finished since."""
        return sum(self.clock.seconds_of(key) - before for key, before in list(self._unfinished_from.items()))

    @property
    def eta_seconds(self) -> float | None:
        """Estimated seconds left, at the device-seconds that training took so far, on as many devices as are in use now.

        None before the first epoch, and while no trial has a device.
        """
        left, devices = self.device_seconds_left, len(self.running)
        if left is None or (left and not devices):
            return None
        return left * self.clock.seconds() / sum(self._seconds.values()) / max(devices, 1)

    def counts_in_words(self) -> str:
        """Return such as `20 of 36 trials are finished: 18 done, 2 failed`."""
        parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{len(self.ended)} of {self.total} trials are finished{f': {parts}' if parts else ''}"

    def line(self) -> str:
        """Return the state as one line."""
        parts = [f"{self.title}: {len(self.ended)}/{self.total} finished"]
        parts += [
            f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()) if outcome is not Outcome.DONE
        ]
        parts.append(f"{len(self.running)} running")
        if self.eta_seconds is not None:
            parts.append(f"ETA {format_seconds(self.eta_seconds)}")
        if math.isfinite(self.best[0]):
            parts.append(f"best validation Δm {self.best[0]:+.2f} % ({self.best[1]})")
        return ", ".join(parts) + (f" [{self.note}]" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain data, for `mtlsweep status`."""
        return {
            "title": self.title,
            "planned": self.total,
            "outcomes": {outcome.value: count for outcome, count in sorted(self.outcomes.items())},
            "running": [one.to_json() for one in list(self.running.values())],
            "devices": list(self.devices),
            "eta_seconds": self.eta_seconds,
            "device_seconds_unfinished": self.device_seconds_unfinished,
            "device_seconds_left": self.device_seconds_left if any(self.epochs_left.values()) else 0.0,
            "trials_per_hour": 3600 * self._finished / (time.time() - self._started_at),
            "best": {"delta_m": self.best[0], "trial": self.best[1]} if math.isfinite(self.best[0]) else None,
            "written_at": time.time(),
        }

    def table(self) -> Table:
        """Return the state as a table for a terminal."""
        table = Table(title=self.title, title_justify="left", box=None, pad_edge=False)
        cells = {"planned": str(self.total), "running": str(len(self.running))}
        cells |= {outcome.value: str(self.outcomes[outcome]) for outcome in Outcome}
        cells["ETA"] = format_seconds(self.eta_seconds) if self.eta_seconds is not None else "?"
        for column in cells:
            table.add_column(column, justify="right")
        table.add_column("best validation Δm")
        table.add_row(*cells.values(), f"{self.best[0]:+.2f} %  {self.best[1]}" if math.isfinite(self.best[0]) else "-")
        if self.note:
            table.caption = self.note
        return table


def format_seconds(seconds: float) -> str:
    """Format a duration for users: `42 s`, `3 min`, `2 h 05 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
