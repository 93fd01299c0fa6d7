"""What the trials of a stage need on each kind of GPU: measured once, kept beside the ledger, part of no key."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

from mtlsweep.files import content_hash, indented_json
from mtlsweep.params.suite import Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.storage import Storage
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.training.memory import measure_steps, read_memory
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.trial import Trial

WARM_UP_STEPS, MEASURED_STEPS = 1, 3

SECONDS_OF_MEASURING = 60.0
"""After this time no further example is begun; those that were measured stand for the others."""


@dataclass(frozen=True)
class GpuFigures:
    """What was measured on one GPU of a kind.

    Attributes:
        device: torch's name of the device that trials use on such a host: `cuda`, or `cpu` where torch can use no GPU.
        name: of the GPU.
        total: its memory in bytes.
        free: what other processes leave of it, in bytes.
        trial: peak memory of the heaviest example, in bytes, without what every process needs.
        heaviest: name of the method of that example.
        seconds: of one of its steps, alone on the GPU.
    """

    device: str
    name: str
    total: int
    free: int
    trial: int
    heaviest: str
    seconds: float


def examples_of(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return trials that show what a stage needs: the first with each weighting, optimizer, network and batch size.

    A single-task trial has no weighting of its own; its task counts instead.
    """
    seen: set[str] = set()
    examples: dict[str, Trial] = {}
    for trial in trials:
        cell = trial.cell
        parts = {
            "weighting": [cell.weighting.model_dump(mode="json"), len(cell.tasks) > 1 or cell.tasks],
            "optimizer": cell.optimizer.model_dump(mode="json"),
            "network": cell.network.model_dump(mode="json"),
            "batch_size": cell.training.batch_size,
        }
        new = {content_hash({name: part}) for name, part in parts.items()} - seen
        if new:
            seen |= new
            examples.setdefault(cell.key, trial)
    return tuple(examples.values())


def measure(examples: Sequence[Trial], data: PreparedData, device: torch.device) -> GpuFigures | None:
    """Return what the heaviest of `examples` needs on `device`; None if no example could be trained.

    An example whose code fails is left out: the sweep records its failure. One that runs out of memory needs the whole device.
    """
    memory, began = read_memory(device), time.monotonic()
    needs: dict[str, tuple[int, float]] = {}
    for trial in examples:
        if needs and time.monotonic() - began > SECONDS_OF_MEASURING:
            break
        with suppress(Exception):
            try:
                cost = measure_steps(trial, data, device, WARM_UP_STEPS, MEASURED_STEPS)
                needs[trial.cell.method] = (cost.peak, cost.seconds)
            except torch.OutOfMemoryError:
                needs[trial.cell.method] = (memory.total, 0.0)
    if not needs:
        return None
    heaviest = max(needs, key=lambda method: needs[method])
    peak, seconds = needs[heaviest]
    return GpuFigures(device.type, memory.name, memory.total, memory.free, peak, heaviest, seconds)


@dataclass(frozen=True)
class FigureStore:
    """Keeps the figures of a stage by kind of GPU as long as its examples are the same, and what followed from them.

    Attributes:
        storage: of the ledger.
        name: of the file in it.
        trials: of the stage, one of each cell.
    """

    storage: Storage
    name: str
    trials: tuple[Trial, ...]

    @classmethod
    def of(cls, ledger: Ledger, stage: Stage, cells: Iterable[Cell], seed: int) -> FigureStore:
        """Return the store of a stage with these cells."""
        return cls(ledger.storage, f"gpus-{stage}.json", tuple(Trial(cell, seed) for cell in cells))

    @cached_property
    def examples(self) -> tuple[Trial, ...]:
        """What is measured."""
        return examples_of(self.trials)

    def read(self) -> dict[str, GpuFigures]:
        """Return the figures by kind; none if nothing was measured, or another stage than today's."""
        return {kind: GpuFigures(**figures) for kind, figures in self._content().get("kinds", {}).items()}

    def read_sentences(self) -> list[str]:
        """Return how the trials of the last run shared GPUs, in words."""
        return list(self._content().get("sentences", ()))

    def write(self, kinds: Mapping[str, GpuFigures], sentences: Sequence[str] = ()) -> None:
        """Keep figures and sentences; where they cannot be written the next run measures again."""
        content = {
            "examples": self._hash,
            "kinds": {kind: asdict(one) for kind, one in kinds.items()},
            "sentences": list(sentences),
        }
        with suppress(OSError):
            self.storage.note(self.name, indented_json(content))

    def _content(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.storage.read(self.name))
        except (OSError, ValueError):
            return {}
        return content if content.get("examples") == self._hash else {}

    @property
    def _hash(self) -> str:
        return content_hash([trial.cell.key for trial in self.examples])
