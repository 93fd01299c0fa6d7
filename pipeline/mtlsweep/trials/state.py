"""The state of a trial: paused or finished.

`Paused` and `Finished` are different types. A paused trial continues if its strategy decides so. A
finished trial does not continue, with one exception: a trial that a race pruned (`Outcome.PRUNED`)
keeps its resume point, and a later grid or the race itself may continue it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from mtlsweep.trials.curve import Curve, StoredCurve, curve_to_json
from mtlsweep.trials.trial import Trial


class Outcome(StrEnum):
    """How a trial ended."""

    DONE = "done"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"


MEASURED = (Outcome.DONE, Outcome.PRUNED)
"""A diverged or failed trial has no result, even if earlier epochs were good."""


@dataclass(frozen=True)
class Paused:
    """A trial that its strategy paused at a rung; it continues from its resume point or is pruned.

    Attributes:
        curve: epochs up to the rung.
    """

    curve: Curve


@dataclass(frozen=True)
class Finished:
    """A trial that ended.

    Attributes:
        outcome: how it ended.
        curve: all its epochs.
        cause: for `diverged` and `failed`: one word (`nan`, `explosion`, `nonpositive`, `oom`, `data`, `code`, ...).
        detail: for `diverged` and `failed`: description, with the traceback of an exception.
    """

    outcome: Outcome
    curve: Curve
    cause: str | None = None
    detail: str | None = None


State = Paused | Finished


def state_to_json(state: State) -> dict[str, Any]:
    """Return a state as plain data; a paused trial has the outcome `pruned`, see `state_from_json`."""
    return {
        "outcome": (state.outcome if isinstance(state, Finished) else Outcome.PRUNED).value,
        "cause": state.cause if isinstance(state, Finished) else None,
        "detail": state.detail if isinstance(state, Finished) else None,
        **curve_to_json(state.curve),
    }


def state_from_json(value: Mapping[str, Any]) -> State:
    """Undo `state_to_json` of a trial that was not pruned: here `pruned` means paused."""
    finished = finished_from_json(value)
    return Paused(finished.curve) if finished.outcome is Outcome.PRUNED else finished


def finished_from_json(value: Mapping[str, Any]) -> Finished:
    """Undo `state_to_json` of a finished trial: here `pruned` means pruned."""
    return Finished(Outcome(value["outcome"]), StoredCurve(value), value["cause"], value["detail"])


@dataclass(frozen=True)
class Execution:
    """Cost and host of a trial; not part of its result.

    Attributes:
        started_at, finished_at: Unix times of the first start and the end, in seconds.
        seconds: time of training and evaluation, summed over all attempts.
        host: name of the machine that finished it.
        attempts: number of starts.
        provenance: git sha, package versions, ... of the code that ran it.
        device_seconds: time in which it held a device, summed over all attempts; None in records of earlier versions.
    """

    started_at: float
    finished_at: float
    seconds: float
    host: str
    attempts: int
    provenance: Mapping[str, Any]
    device_seconds: float | None = None

    @property
    def cost_seconds(self) -> float:
        """Device-seconds that are paid for; where nobody counted them, those of training."""
        return self.seconds if self.device_seconds is None else self.device_seconds


S_co = TypeVar("S_co", bound=State, covariant=True)


@dataclass(frozen=True)
class TrialRecord(Generic[S_co]):
    """A trial with its state and its cost, as stored in the ledger and shown in every view."""

    trial: Trial
    state: S_co
    execution: Execution


PausedTrial = TrialRecord[Paused]
FinishedTrial = TrialRecord[Finished]
