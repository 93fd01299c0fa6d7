"""The experiment `gradients`: do gradients of tasks conflict more than gradients of samples do?

A finished trial of the suite is trained once more, to the bit, and measured on its way. The tables say
how the measures of `pipeline.studies.conflicts` are distributed in every epoch, and how far tasks and
samples lie apart over the whole training.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from pipeline import paths
from pipeline.analysis.tables import write_table
from pipeline.data import Batch, PreparedData, open_prepared
from pipeline.errors import UserError
from pipeline.files import write_atomically
from pipeline.ledger import Ledger
from pipeline.networks import MultiTaskNetwork
from pipeline.params import Gradients, Params
from pipeline.studies.cells import ChosenTrial, FinishedSuite
from pipeline.studies.conflicts import MEASURES, ConflictMeter, Pairs, draw, join, reached_by_all, split_by_sign
from pipeline.studies.retraining import retrain
from pipeline.training.seeds import stream
from pipeline.training.threads import torch_threads
from pipeline.training.trial import choose_device

EPOCHS, EFFECTS, ABOUT, COSTS = "epochs.parquet", "effects.parquet", "about.json", "costs.json"

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
EFFECT_COLUMNS = [
    *(*LABELS, "averaged", "measure", "inter_task", "inter_sample", "difference", "cohens_d", "task_above_sample"),
    *("task_pairs", "sample_pairs", "task_conflicts", "sample_conflicts"),
]


@dataclass(frozen=True)
class Measured:
    """What one trial's training showed.

    Attributes:
        epochs: EPOCH_COLUMNS without labels: mean, standard deviation and 2.5 % (`low`) and 97.5 %
            (`high`) percentiles over all pairs of an epoch.
        effects: EFFECT_COLUMNS without labels, over all epochs: means of both kinds, their difference,
            that in pooled standard deviations (Cohen's d), the probability that a random pair of tasks
            lies above a random pair of samples, and the shares of pairs with a negative cosine.
        about: how it was measured.
        seconds: spent measuring, and in all.
    """

    epochs: pd.DataFrame
    effects: pd.DataFrame
    about: dict[str, Any]
    seconds: tuple[float, float]


def run_gradients(params: Params, suite: str) -> Path:
    """Measure the suite's chosen cells and write tables under `results/<suite>/gradients/`; return that directory.

    `costs.json` holds times and is no part of the result.

    Raises:
        UserError: the suite is not analysed, a named cell has not finished, or the ledger has lost a trial.
    """
    section, directory = params.suite(suite).studies.gradients, paths.results(suite) / "gradients"
    measured: list[tuple[ChosenTrial, Measured]] = []
    if section.enabled:
        data = open_prepared(paths.prepared(suite))
        finished, ledger = FinishedSuite.read(paths.results(suite)), Ledger(params.resources.ledger_root, suite)
        cells = [finished.named(cell) for cell in section.cells] or [finished.best_equal_weights()]
        device = torch.device(choose_device(params.resources.device))
        for cell in cells:
            for chosen in finished.replicates(cell, section.seeds, ledger):
                with torch_threads(params.resources.threads):
                    measured.append((chosen, measure_training(chosen, data, section, device)))
    epochs = [one.epochs.assign(**_labels(chosen)) for chosen, one in measured]
    effects = [one.effects.assign(**_labels(chosen)) for chosen, one in measured]
    write_table(directory / EPOCHS, _together(epochs, EPOCH_COLUMNS))
    write_table(directory / EFFECTS, _together(effects, EFFECT_COLUMNS))
    about = [{**_labels(chosen), **one.about} for chosen, one in measured]
    costs = {chosen.trial.key: dict(zip(("measuring", "total"), one.seconds, strict=True)) for chosen, one in measured}
    for name, content in ((ABOUT, about), (COSTS, costs)):
        write_atomically(directory / name, json.dumps(content, indent=1).encode() + b"\n")
    return directory


def measure_training(chosen: ChosenTrial, data: PreparedData, section: Gradients, device: torch.device) -> Measured:
    """Train `chosen` again and measure at every `section.every`-th iteration, before the step.

    Raises:
        UserError: the trial has a single task, or no parameter is reached by all of them.
    """
    watcher = _Watcher(chosen, data, section)
    epochs = min(section.epochs or len(chosen.result.curve), len(chosen.result.curve))
    began = time.perf_counter()
    retrain(chosen.trial, data, device, epochs, watcher)
    return watcher.read(time.perf_counter() - began)


class _Watcher:
    """Measures while a trial trains, and reduces each epoch as soon as it is over."""

    def __init__(self, chosen: ChosenTrial, data: PreparedData, section: Gradients) -> None:
        self._seed, self._section = chosen.trial.seed, section
        self._tasks = data.tasks_of(chosen.trial.cell.tasks)
        if len(self._tasks) < 2:
            raise UserError(f"trial `{chosen.trial.key}` has one task; gradients of tasks can be compared from two on.")
        self._meter: ConflictMeter | None = None
        self._about: dict[str, Any] = {}
        self._current: list[Pairs] = []
        self._epoch, self._iterations = 0, itertools.count()
        self._rows: list[dict[str, Any]] = []
        self._over_training: dict[tuple[str, bool], list[Mapping[str, Tensor]]] = {}
        self._seconds = 0.0

    def __call__(self, network: MultiTaskNetwork, batch: Batch, epoch: int) -> None:
        if epoch != self._epoch:
            self._close_epoch()
            self._epoch = epoch
        iteration = next(self._iterations)
        if iteration % self._section.every:
            return
        began = time.perf_counter()
        meter = self._meter or self._start(network, batch)
        generator = stream(self._seed, "gradients", iteration)
        samples = draw(self._section.samples, len(batch.inputs), generator)
        tasks = [self._tasks[number] for number in draw(self._section.tasks, len(self._tasks), generator).tolist()]
        self._current += meter.measure(network, tasks, batch, samples)
        self._seconds += time.perf_counter() - began

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
            "samples": min(self._section.samples, len(batch.inputs)),
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

    def read(self, seconds: float) -> Measured:
        """Return everything measured; `seconds` is what training took with it."""
        self._close_epoch()
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
        return Measured(pd.DataFrame(self._rows), pd.DataFrame(effects), self._about, (self._seconds, seconds))


def describe(values: np.ndarray) -> dict[str, float]:
    """Return mean, standard deviation, 2.5 % and 97.5 % percentiles and number of `values`; NaN where there are none."""
    if not len(values):
        return {"mean": np.nan, "std": np.nan, "low": np.nan, "high": np.nan, "pairs": 0}
    low, high = np.percentile(values, [2.5, 97.5])
    return {"mean": values.mean(), "std": values.std(), "low": low, "high": high, "pairs": len(values)}


def effect(of_tasks: Mapping[str, np.ndarray], of_samples: Mapping[str, np.ndarray], measure: str) -> dict[str, float]:
    """Return how pairs of tasks and pairs of samples differ in `measure`; see `Measured.effects`."""
    one, other = of_tasks[measure], of_samples[measure]
    pooled = np.sqrt(
        ((len(one) - 1) * one.var(ddof=1) + (len(other) - 1) * other.var(ddof=1)) / (len(one) + len(other) - 2)
    )
    return {
        "inter_task": one.mean(),
        "inter_sample": other.mean(),
        "difference": one.mean() - other.mean(),
        "cohens_d": (one.mean() - other.mean()) / pooled,
        "task_above_sample": probability_above(one, other),
        "task_pairs": len(one),
        "sample_pairs": len(other),
        "task_conflicts": float((of_tasks["cosine"] < 0).mean()),
        "sample_conflicts": float((of_samples["cosine"] < 0).mean()),
    }


def probability_above(one: np.ndarray, other: np.ndarray) -> float:
    """Return the probability that a random value of `one` exceeds one of `other`, ties counted half."""
    ranks = rankdata(np.concatenate([one, other]))[: len(one)]
    return float((ranks.sum() - len(one) * (len(one) + 1) / 2) / (len(one) * len(other)))


def _labels(chosen: ChosenTrial) -> dict[str, Any]:
    cell = chosen.trial.cell
    values = (chosen.trial.key, cell.weighting_label, cell.optimizer_label, cell.learning_rate, chosen.trial.seed)
    return dict(zip(LABELS, values, strict=True))


def _together(frames: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)
