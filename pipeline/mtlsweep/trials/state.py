"""How far a trial has got, or how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mtlsweep.files import decode_float, encode_float
from mtlsweep.trials.trial import Trial


class Outcome(StrEnum):
    """The typed end of a trial."""

    DONE = "done"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch of a trial measured.

    Attributes:
        epoch: 1 for the first.
        metrics: by name, `train/<task>/<metric>`, `val/...` and `test/...`.
        finished_at: Unix time in seconds.
        seconds: time the epoch took, training and evaluation.
    """

    epoch: int
    metrics: Mapping[str, float]
    finished_at: float
    seconds: float


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended, and its curve up to there.

    Attributes:
        outcome: the typed end.
        cause: for `diverged` and `failed`: one word (`nan`, `explosion`, `oom`, `data`, `code`, ...).
        detail: for the same: where and how, the traceback of an exception included.
        curve: one record for each finished epoch, in order.
    """

    outcome: Outcome
    curve: tuple[EpochRecord, ...]
    cause: str | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data; the curve by column, null where an epoch has no such metric."""
        names = sorted({name for record in self.curve for name in record.metrics})
        columns = {
            name: [encode_float(record.metrics[name]) if name in record.metrics else None for record in self.curve]
            for name in names
        }
        return {
            "outcome": self.outcome.value,
            "cause": self.cause,
            "detail": self.detail,
            "epoch": [record.epoch for record in self.curve],
            "finished_at": [record.finished_at for record in self.curve],
            "seconds": [record.seconds for record in self.curve],
            "metrics": columns,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrialResult:
        """Undo `to_json`."""
        columns = value["metrics"]
        rows = enumerate(zip(value["epoch"], value["finished_at"], value["seconds"], strict=True))
        curve = tuple(
            EpochRecord(
                epoch,
                {name: decode_float(values[row]) for name, values in columns.items() if values[row] is not None},
                finished_at,
                seconds,
            )
            for row, (epoch, finished_at, seconds) in rows
        )
        return cls(Outcome(value["outcome"]), curve, value["cause"], value["detail"])


@dataclass(frozen=True)
class Execution:
    """What a finished trial cost and where it ran; no part of its result.

    Attributes:
        started_at, finished_at: Unix times in seconds, of the first start and the end.
        seconds: time spent training and evaluating, all attempts together.
        host: name of the machine that finished it.
        attempts: how often it was started.
        provenance: git sha, package versions, ... of the code that ran it.
    """

    started_at: float
    finished_at: float
    seconds: float
    host: str
    attempts: int
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class FinishedTrial:
    """A trial with its end: what the ledger keeps and every view shows."""

    trial: Trial
    result: TrialResult
    execution: Execution
