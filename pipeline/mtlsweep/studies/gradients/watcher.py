"""Measuring gradients while a cell trains."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mtlsweep.errors import UserError
from mtlsweep.studies.finished_trials import ChosenTrial
from mtlsweep.studies.gradients.effects import describe, effect
from mtlsweep.studies.gradients.meter import ConflictMeter, reached_by_all
from mtlsweep.studies.gradients.pairs import MEASURES, Pairs, draw, join, split_by_sign
from mtlsweep.studies.gradients.params import Gradients
from mtlsweep.studies.gradients.shares import ShareMeter
from mtlsweep.studies.retraining import retrain
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch, PreparedData
from mtlsweep.training.seeds import stream
from mtlsweep.training.step.updater import Updater

LABELS = ["trial_key", "weighting", "optimizer", "lr", "seed"]

EPOCH_COLUMNS = [
    *LABELS,
    "epoch",
    "layer",
    "kind",
    "averaged",
    "subset",
    "measure",
    "mean",
    "std",
    "low",
    "high",
    "pairs",
]

SHARE_COLUMNS = [*LABELS, "epoch", "mean", "std", "low", "high", "updates"]

EFFECT_COLUMNS = [
    *(*LABELS, "averaged", "measure", "inter_task", "inter_sample", "difference", "cohens_d", "task_above_sample"),
    *("task_pairs", "sample_pairs", "task_conflicts", "sample_conflicts"),
]


@dataclass(frozen=True)
class Measured:
    """The measurements of one trial's training.

    Attributes:
        epochs: EPOCH_COLUMNS without labels: mean, standard deviation and 2.5 % (`low`) and 97.5 %
            (`high`) percentiles over all pairs of an epoch.
        effects: EFFECT_COLUMNS without labels, over all epochs: means of both kinds, their difference,
            that in pooled standard deviations (Cohen's d), the probability that a random pair of tasks
            lies above a random pair of samples, and the shares of pairs with a negative cosine.
        shares: SHARE_COLUMNS without labels: the same statistics as in `epochs` of the share of the current gradient
            in the measured updates of an epoch; empty where it was not asked for.
        about: how it was measured.
        seconds: spent measuring, and in all.
    """

    epochs: pd.DataFrame
    effects: pd.DataFrame
    shares: pd.DataFrame
    about: dict[str, Any]
    seconds: tuple[float, float]


def measure_training(chosen: ChosenTrial, data: PreparedData, section: Gradients, device: torch.device) -> Measured:
    """Train `chosen` again and measure at every `section.every`-th iteration, before the step.

    Raises:
        UserError: the trial has a single task, or no parameter is reached by all of them.
    """
    watcher = _Watcher(chosen, data, section)
    epochs = min(section.epochs or len(chosen.state.curve), len(chosen.state.curve))
    began = time.perf_counter()
    retrain(chosen.trial, data, device, epochs, watcher, watcher.begin)
    return watcher.read(time.perf_counter() - began)


class _Watcher:
    """Measures while a trial trains, and reduces each epoch as soon as it is over."""

    def __init__(self, chosen: ChosenTrial, data: PreparedData, section: Gradients) -> None:
        self._seed, self._section = chosen.trial.seed, section
        self._tasks = data.tasks_of(chosen.trial.cell.tasks)
        if len(self._tasks) < 2:
            raise UserError(
                f"trial `{chosen.trial.key}` has one task, but comparing gradients of tasks needs two or more."
            )
        self._meter: ConflictMeter | None = None
        self._share_meter: ShareMeter | None = None
        self._about: dict[str, Any] = {}
        self._current: list[Pairs] = []
        self._epoch, self._iterations = 0, itertools.count()
        self._rows: list[dict[str, Any]] = []
        self._shares: list[float] = []
        self._share_rows: list[dict[str, Any]] = []
        self._over_training: dict[tuple[str, bool], list[Mapping[str, Tensor]]] = {}
        self._seconds = 0.0

    def begin(self, network: MultiTaskNetwork, updater: Updater) -> None:
        """Take note of what trains."""
        if self._section.shares:
            self._share_meter = ShareMeter(network, updater.optimizers)

    def __call__(self, network: MultiTaskNetwork, batch: Batch, epoch: int) -> None:
        self._read_share()
        if epoch != self._epoch:
            self._close_epoch()
            self._epoch = epoch
        iteration = next(self._iterations)
        if iteration % self._section.every:
            return
        if self._share_meter is not None:
            self._share_meter.start()
        batch = batch.complete([task.name for task in self._tasks])
        if not len(batch):
            return
        began = time.perf_counter()
        meter = self._meter or self._start(network, batch)
        generator = stream(self._seed, "gradients", iteration)
        samples = draw(self._section.samples, len(batch), generator)
        tasks = [self._tasks[number] for number in draw(self._section.tasks, len(self._tasks), generator).tolist()]
        self._current += meter.measure(network, tasks, batch, samples)
        self._seconds += time.perf_counter() - began

    def _read_share(self) -> None:
        """Note the share of the update before, if it was measured."""
        share = None if self._share_meter is None else self._share_meter.read()
        if share is not None:
            self._shares.append(share)

    def _start(self, network: MultiTaskNetwork, batch: Batch) -> ConflictMeter:
        parameters = reached_by_all(network, self._tasks, batch)
        if not parameters:
            raise UserError(
                "no shared parameter is reached by every task's loss, so their gradients cannot be compared."
            )
        self._about = {
            "parameters": sum(parameter.numel() for parameter in parameters.values()),
            "shared_parameters": sum(parameter.numel() for parameter in network.shared_parameters()),
            "batch_norm": any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()),
            "every": self._section.every,
            "samples": min(self._section.samples, len(batch)),
            "tasks": min(self._section.tasks, len(self._tasks)),
        }
        self._meter = ConflictMeter(parameters, self._section.by_layer, self._section.memory_mb * 1e6)
        return self._meter

    def _close_epoch(self) -> None:
        for (kind, averaged, layer), values in join(self._current).items():
            place = {"epoch": self._epoch, "layer": layer, "kind": kind, "averaged": averaged}
            for subset, chosen in split_by_sign(values):
                for measure in MEASURES:
                    self._rows.append(
                        {**place, "subset": subset, "measure": measure, **describe(chosen[measure].numpy())}
                    )
            if layer == "all":
                self._over_training.setdefault((kind, averaged), []).append(values)
        self._current = []
        if self._shares:
            described = describe(np.array(self._shares))
            self._share_rows.append({"epoch": self._epoch, **described, "updates": described["pairs"]})
        self._shares = []

    def read(self, seconds: float) -> Measured:
        """Return everything measured; `seconds` is what training took with it."""
        self._read_share()
        self._close_epoch()
        if not self._over_training:
            raise UserError(
                "no row of a measured batch has a label of every task, and gradients are compared on such rows: set "
                "`studies.gradients.enabled: false` for this suite, or measure more often (`every`)."
            )
        joined = {
            group: {measure: torch.cat([part[measure] for part in parts]).numpy() for measure in MEASURES}
            for group, parts in self._over_training.items()
        }
        effects = [
            {
                "averaged": averaged,
                "measure": measure,
                **effect(joined["inter-task", averaged], joined["inter-sample", averaged], measure),
            }
            for averaged in (False, True)
            for measure in MEASURES
        ]
        shares = pd.DataFrame(self._share_rows, columns=[name for name in SHARE_COLUMNS if name not in LABELS])
        return Measured(pd.DataFrame(self._rows), pd.DataFrame(effects), shares, self._about, (self._seconds, seconds))


def cell_labels(chosen: ChosenTrial) -> dict[str, Any]:
    """Return the columns that name a trial in every table of the study."""
    cell = chosen.trial.cell
    values = (chosen.trial.key, cell.weighting_label, cell.optimizer_label, cell.learning_rate, chosen.trial.seed)
    return dict(zip(LABELS, values, strict=True))


def concatenate(frames: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Return all frames as one, with these columns even if there is no frame."""
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
