"""A cell: everything that determines a trial's result, except the seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mtlsweep.files import content_hash
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training

SCHEMA_VERSION = 1
"""Increased when the fields below change; then every key changes."""

TRAINER_VERSION = 1
"""Increased by hand when the meaning of training changes; a test compares a golden trial."""

Role = Literal["stl", "mtl"]


@dataclass(frozen=True)
class Cell:
    """One setting of the study, without its seed.

    Attributes:
        suite: name of the suite; results are comparable only within a suite.
        role: `stl` for a single-task baseline, `mtl` for a multi-task trial.
        tasks: names of the tasks trained together, in the dataset's order (one for a baseline).
        network, weighting, optimizer: resolved choices, every option present.
        learning_rate: initial learning rate.
        training: protocol (epochs, batch size, schedule, ...).
        data_fingerprint: content hash of the prepared data.
        weighting_label, optimizer_label: display names of the method; not part of the key.
        merges_last_batch: whether a last batch of one row joins the batch before it; set where there is one, and
            part of the key only there.
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
    merges_last_batch: bool = False

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The allow-list of fields in the key."""
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
            **({"last_batch": "merged"} if self.merges_last_batch else {}),
        }

    @cached_property
    def key(self) -> str:
        """`cell_key`: 16 hexadecimal digits."""
        return content_hash(self.identity)

    @property
    def method(self) -> str:
        """Display name of weighting and optimizer: the row of a results table."""
        return f"{self.weighting_label} {self.optimizer_label}"
