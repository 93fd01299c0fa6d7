"""Cells and trials: what one training run is, and the content hash that names it.

A `Cell` is everything that decides a result but the seed; a `Trial` is a cell with a seed. Their
keys are hashes over an allow-list of semantic fields, all defaults resolved. No path, host, address,
resource, package version or git state enters: those are recorded beside a result, not in its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import torch

from pipeline.files import content_hash
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


def stream_seed(seed: int, *names: object) -> int:
    """Return the 63-bit seed of a named random stream (`init`, `order`, ...) of a trial's `seed`.

    Streams are independent of each other: drawing more from one never shifts another.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator for a named random stream of a trial's `seed`."""
    return torch.Generator().manual_seed(stream_seed(seed, *names))
