"""The finished trials of a ledger, each read once, so that a live view can look again every few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mtlsweep.analysis.trial_table import best_by_delta_m
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.reference import Reference
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import by_column
from mtlsweep.trials.state import MEASURED, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

TRIALS_AT_ONCE = 250


class SeenTrials:
    """Reads what is new in a ledger, and keeps of each trial what the live view shows: not its curve.

    Args:
        ledger: of a suite.

    Attributes:
        measured: validation figures and `val_delta_m` of multi-task trials at their best epoch, by trial_key.
        version: another number whenever something has changed.
        unread: number of finished trials that are not read yet.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._records: dict[str, FinishedTrial] = {}
        self._cells: dict[str, Cell] = {}
        self._reference: Reference | None = None
        self.measured = pd.DataFrame(index=pd.Index([], name="trial_key"))
        self.version = 0
        self.unread = 0

    def read(self, reference: Reference | None, seconds: float) -> None:
        """Read trials that are new, as many as some seconds allow; forget those that the ledger no longer has.

        Args:
            reference: what multi-task trials are compared with; those read with another one are read again.
            seconds: how long to read.

        Raises:
            UserError: the ledger is damaged, or cannot be read.
        """
        until = time.monotonic() + seconds
        finished = self._ledger.finished_keys()
        self._forget(self._records.keys() - finished)
        if (reference and reference.key) != (self._reference and self._reference.key):
            self._forget([key for key, one in self._records.items() if one.trial.cell.role == "mtl"])
            self._reference = reference
        new = sorted(finished - self._records.keys())
        for start in range(0, len(new), TRIALS_AT_ONCE):
            self._take(list(self._ledger.read_those(new[start : start + TRIALS_AT_ONCE])))
            if time.monotonic() > until:
                break
        self.unread = len(finished) - len(self._records)

    def read_unsettled_again(self) -> None:
        """Let the next `read` read pruned and failed trials again: they alone may have continued, or been retried."""
        unsettled = (Outcome.PRUNED, Outcome.FAILED)
        self._forget([key for key, one in self._records.items() if one.state.outcome in unsettled])

    def read_ends(self, keys: Iterable[str]) -> Iterator[tuple[str, Outcome, str | None]]:
        """Yield key, outcome and cause of those of the named trials that are read."""
        for key in keys:
            if (one := self._records.get(key)) is not None:
                yield key, one.state.outcome, one.state.cause

    def read_all(self) -> Iterator[FinishedTrial]:
        """Yield every trial that is read, ordered by key, without its curve."""
        return (self._records[key] for key in sorted(self._records))

    def _forget(self, keys: Iterable[str]) -> None:
        for key in (gone := list(keys)):
            del self._records[key]
        if gone:
            self.measured = self.measured.drop(index=gone, errors="ignore")
            self.version += 1

    def _take(self, records: Sequence[FinishedTrial]) -> None:
        multi_task = [one for one in records if one.trial.cell.role == "mtl" and one.state.outcome in MEASURED]
        if self._reference is not None and multi_task:
            rows = _best_epochs(multi_task, self._reference)
            self.measured = rows if self.measured.empty else pd.concat([self.measured, rows])
        for one in records:
            cell = self._cells.setdefault(one.trial.cell.key, one.trial.cell)
            detail = (one.state.detail or "").strip().splitlines()[-1:]
            state = replace(one.state, curve=(), detail="".join(detail))
            self._records[one.trial.key] = replace(one, trial=Trial(cell, one.trial.seed), state=state)
        self.version += 1


def _best_epochs(records: Sequence[FinishedTrial], reference: Reference) -> pd.DataFrame:
    """Return the epoch of lowest validation Delta_m of each trial, as the analysis chooses it."""
    names = [objective.of("val") for objective in reference.objectives]
    curves = [by_column(one.state.curve) for one in records]
    lengths = [len(curve) for curve in curves]
    columns = {
        name.column: np.concatenate(
            [
                np.array(curve.values(str(name)), float) if str(name) in curve.metrics else np.full(length, np.nan)
                for curve, length in zip(curves, lengths, strict=True)
            ]
        )
        for name in names
    }
    keys = np.repeat([one.trial.key for one in records], lengths)
    epochs = np.concatenate([np.array(curve.epoch, int) for curve in curves])
    index = pd.MultiIndex.from_arrays([keys, epochs], names=["trial_key", "epoch"])
    return best_by_delta_m(pd.DataFrame(columns, index=index), reference.values["val"], reference.objectives)
