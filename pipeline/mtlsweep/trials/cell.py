"""A cell: everything that determines a trial's result, except the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from mtlsweep.errors import UserError
from mtlsweep.files import content_hash
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training

SCHEMA_VERSION = 1
"""Increased when the fields below change; then every key changes."""

TRAINER_VERSION = 1
"""Increased by hand when the meaning of training changes; a test compares a golden trial."""

Role = Literal["stl", "mtl"]

Content = Mapping[str, Mapping[str, str]]
"""For `network`, `weighting`, `optimizer` and `task NAME`: hashes of what their names and options do not show."""


LABELS = ("weighting_label", "optimizer_label", "tuned", "compared")
"""What a plan calls a cell, no part of its key."""


class ContentChangedError(UserError):
    """A trial cannot be trained here with the content it was planned with.

    Args:
        what: why not, without a full stop.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; run `dvc repro` to plan it again.")
        self.what = what


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
        tuned, compared: text of the value of each axis of the sweep; the values themselves are in the choices and
            the protocol, so this is not part of the key. The labels show those compared.
        merges_last_batch: whether a last batch of one row joins the batch before it; set where there is one, and
            part of the key only there.
        incomplete: whether some row has no label of one of the tasks; part of the key only there.
        content: own code, files and metrics that the cell uses; empty for what comes with this package.
        schema, trainer: versions under which the cell was made; a cell of another version has another key.
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
    incomplete: bool = False
    content: Content = field(default_factory=dict)
    tuned: Mapping[str, str] = field(default_factory=dict)
    compared: Mapping[str, str] = field(default_factory=dict)
    schema: int = field(default_factory=lambda: SCHEMA_VERSION)
    trainer: int = field(default_factory=lambda: TRAINER_VERSION)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The allow-list of fields in the key; a file is named by its content and not by its path."""
        identity = {
            "schema": self.schema,
            "trainer": self.trainer,
            "suite": self.suite,
            "role": self.role,
            "tasks": list(self.tasks),
            "network": self._without_paths("network", self.network),
            "weighting": self._without_paths("weighting", self.weighting),
            "optimizer": self._without_paths("optimizer", self.optimizer),
            "learning_rate": float(self.learning_rate),
            "training": self.training.model_dump(mode="json"),
            "data": self.data_fingerprint,
            **({"last_batch": "merged"} if self.merges_last_batch else {}),
            **({"targets": "incomplete"} if self.incomplete else {}),
        }
        content = {name: dict(hashes) for name, hashes in self.content.items()}
        return {**identity, "content": content} if content else identity

    @cached_property
    def key(self) -> str:
        """`cell_key`: 16 hexadecimal digits."""
        return content_hash(self.identity)

    @property
    def method(self) -> str:
        """Display name of weighting and optimizer: the row of a results table."""
        return f"{self.weighting_label} {self.optimizer_label}"

    @property
    def axes(self) -> dict[str, str]:
        """The value of each axis of the sweep that the cell has, as text."""
        return {**self.tuned, **self.compared}

    def files(self) -> list[str]:
        """Return the paths of the files that options of the cell name."""
        parts = (("network", self.network), ("weighting", self.weighting), ("optimizer", self.optimizer))
        return [
            str(part.options[name])
            for kind, part in parts
            for name in self.content.get(kind, {})
            if name in part.options
        ]

    def with_paths_of(self, other: Cell) -> Cell:
        """Return this cell with the files where `other` has them; its key stays the same."""

        def moved(kind: str, own: Choice, others: Choice) -> Choice:
            paths = {name: others.options[name] for name in self.content.get(kind, {}) if name in others.options}
            return Choice(name=own.name, options={**own.options, **paths}) if paths else own

        return replace(
            self,
            network=moved("network", self.network, other.network),
            weighting=moved("weighting", self.weighting, other.weighting),
            optimizer=moved("optimizer", self.optimizer, other.optimizer),
        )

    def _without_paths(self, kind: str, choice: Choice) -> dict[str, Any]:
        """Return a choice as plain data, without the options that `content` has hashes of."""
        plain = choice.model_dump(mode="json")
        for name in self.content.get(kind, {}):
            plain["options"].pop(name, None)
        return plain
