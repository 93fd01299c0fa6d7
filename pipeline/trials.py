"""Cells and trials: what one training run is, and the content hash that names it.

A `Cell` is everything that decides a result but the seed; a `Trial` is a cell with a seed. Their
keys are hashes over an allow-list of semantic fields, all defaults resolved. No path, host, address,
resource, package version or git state enters: those are recorded beside a result, not in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from pipeline.files import content_hash, decode_float, encode_float
from pipeline.params import Training
from pipeline.registry import Choice

SCHEMA_VERSION = 1
"""Bumped when the fields below change: every key changes with it."""

TRAINER_VERSION = 1
"""Bumped by hand when training comes to mean something else; a test holds a golden trial to it."""

Role = Literal["stl", "mtl"]


class Outcome(StrEnum):
    """The typed end of a trial."""

    DONE = "done"
    DIVERGED = "diverged"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True)
class Cell:
    """One setting of the study, without its seed.

    Attributes:
        suite: name of the suite; results are comparable inside it only.
        role: `stl` for a single-task baseline, `mtl` for a multi-task trial.
        tasks: names of the tasks trained together, in the dataset's order (one for a baseline).
        network, weighting, optimizer: resolved choices, every option present.
        learning_rate: initial learning rate.
        training: protocol (epochs, batch size, schedule, ...).
        data_fingerprint: content hash of the prepared data.
        weighting_label, optimizer_label: how people read the method; they name, they decide nothing.
    """

    suite: str
    role: Role
    tasks: tuple[str, ...]
    network: Choice
    weighting: Choice
    optimizer: Choice
    learning_rate: float
    training: Training
    data_fingerprint: str
    weighting_label: str
    optimizer_label: str

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The allow-list of fields that make the key."""
        return {
            "schema": SCHEMA_VERSION,
            "trainer": TRAINER_VERSION,
            "suite": self.suite,
            "role": self.role,
            "tasks": list(self.tasks),
            "network": self.network.model_dump(mode="json"),
            "weighting": self.weighting.model_dump(mode="json"),
            "optimizer": self.optimizer.model_dump(mode="json"),
            "learning_rate": float(self.learning_rate),
            "training": self.training.model_dump(mode="json"),
            "data": self.data_fingerprint,
        }

    @cached_property
    def key(self) -> str:
        """`cell_key`: 16 hexadecimal digits."""
        return content_hash(self.identity)

    @property
    def method(self) -> str:
        """Weighting and optimizer as people read them: the row of a results table."""
        return f"{self.weighting_label} {self.optimizer_label}"


@dataclass(frozen=True)
class Trial:
    """One training run: a cell and a seed."""

    cell: Cell
    seed: int

    @cached_property
    def key(self) -> str:
        """`trial_key`: 16 hexadecimal digits."""
        return content_hash({**self.cell.identity, "seed": self.seed})

    @property
    def name(self) -> str:
        """How people read the trial, such as `cagrad adam lr=1e-3 seed=0` or `stl left adam lr=1e-3 seed=0`."""
        what = f"stl {self.cell.tasks[0]}" if self.cell.role == "stl" else self.cell.weighting_label
        rate = f"{self.cell.learning_rate:e}"
        mantissa, _, exponent = rate.partition("e")
        short = f"{float(mantissa):g}e{int(exponent)}"
        return f"{what} {self.cell.optimizer_label} lr={short} seed={self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain data, from which `from_json` makes an equal one."""
        labels = {"weighting": self.cell.weighting_label, "optimizer": self.cell.optimizer_label}
        return {**self.cell.identity, "seed": self.seed, "labels": labels}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trial:
        """Undo `to_json`."""
        cell = Cell(
            suite=value["suite"],
            role=value["role"],
            tasks=tuple(value["tasks"]),
            network=Choice(**value["network"]),
            weighting=Choice(**value["weighting"]),
            optimizer=Choice(**value["optimizer"]),
            learning_rate=value["learning_rate"],
            training=Training(**value["training"]),
            data_fingerprint=value["data"],
            weighting_label=value["labels"]["weighting"],
            optimizer_label=value["labels"]["optimizer"],
        )
        return cls(cell=cell, seed=value["seed"])


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
