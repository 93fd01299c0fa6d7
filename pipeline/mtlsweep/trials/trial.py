"""A trial: one training run, and the content hash that is its key.

A `Cell` is everything that determines a result except the seed; a `Trial` is a cell with a seed. Their
keys are hashes of an allow-list of semantic fields, with all defaults resolved, and of the user's own code and
files that the trial uses. Keys do not depend on paths, hosts, addresses, resources, package versions or git state;
these are recorded with a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mtlsweep.files import content_hash
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.trials.cell import Cell


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
        """Display name of the trial, such as `cagrad adam lr=1e-3 seed=0` or `stl left adam lr=1e-3 seed=0`."""
        what = f"stl {self.cell.tasks[0]}" if self.cell.role == "stl" else self.cell.weighting_label
        rate = f"{self.cell.learning_rate:e}"
        mantissa, _, exponent = rate.partition("e")
        short = f"{float(mantissa):g}e{int(exponent)}"
        tuned = "".join(f" {axis.partition('.')[2]}={value}" for axis, value in self.cell.tuned.items())
        return f"{what} {self.cell.optimizer_label} lr={short}{tuned} seed={self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain data; `from_json` restores an equal trial."""
        cell = self.cell
        axes = {name: dict(values) for name, values in (("tuned", cell.tuned), ("compared", cell.compared)) if values}
        return {
            **cell.identity,
            "network": cell.network.model_dump(mode="json"),  # these three with the paths of files
            "weighting": cell.weighting.model_dump(mode="json"),
            "optimizer": cell.optimizer.model_dump(mode="json"),
            "seed": self.seed,
            "labels": {"weighting": cell.weighting_label, "optimizer": cell.optimizer_label, **axes},
        }

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
            merges_last_batch=value.get("last_batch") == "merged",
            incomplete=value.get("targets") == "incomplete",
            content=value.get("content", {}),
            tuned=value["labels"].get("tuned", {}),
            compared=value["labels"].get("compared", {}),
            schema=value["schema"],
            trainer=value["trainer"],
        )
        return cls(cell=cell, seed=value["seed"])
