"""The experiment `robustness`: does multi-task training make a backbone bear corrupted images better?

The heads of each method's selected cell and of the single-task baselines are trained anew on corrupted
images over the frozen backbone, then measured under every corruption and severity. Each such model is
a trial of its own in a ledger and an MLflow experiment of the study (`<suite>-robustness`): a metric
`<corruption>/<task>/<metric>` stands at the step that is its severity, 0 for clean images. A run that
was stopped goes on behind the last corruption each model has finished.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from pipeline import paths
from pipeline.analysis.tables import write_table
from pipeline.data import PreparedData, Split, open_prepared
from pipeline.errors import UserError
from pipeline.files import content_hash, decode_float, encode_float, write_atomically
from pipeline.ledger import BEST, Ledger
from pipeline.networks import MultiTaskNetwork
from pipeline.optimizers import OPTIMIZERS
from pipeline.params import Params, Robustness
from pipeline.registry import Choice
from pipeline.studies.cells import ChosenTrial, FinishedSuite
from pipeline.studies.corrupted_sets import (
    ChosenRows,
    CorruptedSets,
    corrupted_test_set,
    corrupted_training_set,
    corrupting_pool,
    evenly_spaced,
)
from pipeline.studies.corruptions import library_version, resolve_corruptions
from pipeline.studies.retraining import trained_network
from pipeline.studies.robustness_tables import CLEAN, SCORE_COLUMNS, delta_t, delta_t_by_corruption, gather_scores
from pipeline.tasks import Task
from pipeline.tracking import Tracker, TrackingOutage
from pipeline.training.epoch import build_network
from pipeline.training.evaluation import evaluate
from pipeline.training.seeds import stream, stream_seed
from pipeline.training.step import Diverged, build_updater
from pipeline.training.threads import torch_threads
from pipeline.training.trial import choose_device
from pipeline.trials import EpochRecord, Execution, FinishedTrial, Outcome, Trial, TrialResult

STUDY_VERSION = 1
"""Bumped by hand when fine-tuning or measuring comes to mean something else."""

SCORES, DELTA_T, BY_CORRUPTION, ABOUT = "scores.parquet", "delta_t.parquet", "by_corruption.parquet", "about.json"

Metrics = dict[int, dict[str, float]]
"""By severity, `<corruption>/<task>/<metric>`."""


@dataclass(frozen=True)
class Model:
    """A finished trial whose heads are trained anew.

    Attributes:
        source: the trial. trial: what the study makes of it, named by its own key.
    """

    source: ChosenTrial
    trial: Trial


def run_robustness(params: Params, suite: str, workers: int | None = None) -> Path:
    """Measure what the ledger lacks and write tables under `results/<suite>/robustness/`; return that directory.

    Args:
        workers: processes that corrupt images; None means one for each CPU.

    Raises:
        UserError: the suite is not analysed, an unknown name, images that cannot be corrupted, a lost or
            changed trial, or an outage of MLflow. What was measured until then is in the ledger.
    """
    section, directory = params.suite(suite).studies.robustness, paths.results(suite) / "robustness"
    if not section.enabled:
        _write(directory, pd.DataFrame(columns=SCORE_COLUMNS), {})
        return directory
    data = open_prepared(paths.prepared(suite))
    ledger = Ledger(params.resources.ledger_root / suite, "robustness")
    ledger.prepare()
    models = choose_models(params, suite, section, data)
    with corrupting_pool(workers or os.cpu_count() or 1) as executor:
        sets = CorruptedSets(data, section.seed, executor)
        study = _Study(section, data, ledger, sets, choose_device(params.resources.device), params.resources.threads)
        study.run(models, Ledger(params.resources.ledger_root, suite))
    finished = [ledger.read(model.trial.key) for model in models]
    _track(params.resources.tracking_uri, suite, models, finished)
    _write(
        directory,
        gather_scores([(model.source.trial.key, one) for model, one in zip(models, finished, strict=True)], data.tasks),
        study.about,
    )
    return directory


def choose_models(params: Params, suite: str, section: Robustness, data: PreparedData) -> list[Model]:
    """Return the replicates of each method's selected cell and of each task's baseline.

    Raises:
        UserError: the suite is not analysed, an unknown name, or a trial that the ledger has lost.
    """
    finished, ledger = FinishedSuite.read(paths.results(suite)), Ledger(params.resources.ledger_root, suite)
    keys = [
        *finished.baselines["cell_key"],
        *finished.selected_methods(section.weightings, section.optimizers)["cell_key"],
    ]
    chosen = [one for key in keys for one in finished.replicates(str(key), section.seeds, ledger)]
    return [Model(one, study_trial(one, suite, section, data.fingerprint)) for one in chosen]


def study_trial(source: ChosenTrial, suite: str, section: Robustness, fingerprint: str) -> Trial:
    """Return the trial that the study makes of `source`: its key changes with all that changes its result."""
    meaning = section.model_dump(
        mode="json", exclude={"enabled", "weightings", "optimizers", "seeds", "keep_corrupted"}
    )
    identity = {
        "study": STUDY_VERSION,
        "library": library_version(),
        "source": source.trial.key,
        "epoch": source.best_epoch,
        "data": fingerprint,
        "section": {**meaning, "corruptions": list(resolve_corruptions(section.corruptions))},
    }
    cell = dataclasses.replace(source.trial.cell, suite=f"{suite}-robustness", data_fingerprint=content_hash(identity))
    return Trial(cell, source.trial.seed)


class _Study:
    """What all models have in common: rows, sets, and where they are recorded."""

    def __init__(
        self, section: Robustness, data: PreparedData, ledger: Ledger, sets: CorruptedSets, device: str, threads: int
    ) -> None:
        self._threads = threads
        self._section, self._data, self._ledger, self._sets = section, data, ledger, sets
        self._device = torch.device(device)
        self._corruptions = resolve_corruptions(section.corruptions)
        self._test_rows = evenly_spaced(len(data.splits["test"]), section.test_samples)
        self._training_rows = evenly_spaced(len(data.splits["train"]), section.fine_tuning.train_samples)
        self.about: dict[str, Any] = {
            "corruptions": list(self._corruptions),
            "severities": list(section.severities),
            "test_samples": len(self._test_rows),
            "fine_tuning": {**section.fine_tuning.model_dump(mode="json"), "train_samples": len(self._training_rows)},
            "library": library_version(),
        }

    def run(self, models: Sequence[Model], sources: Ledger) -> None:
        """Finish every model that the ledger lacks."""
        done = self._ledger.finished_keys()
        pending = [model for model in models if model.trial.key not in done]
        print(f"robustness: {len(models) - len(pending)} of {len(models)} models finished before", flush=True)
        pending = [model for model in pending if self._fine_tuned(model, sources)]
        self._measure(pending, CLEAN, {0: ChosenRows(self._data.splits["test"], self._test_rows)})
        for number, corruption in enumerate(self._corruptions, start=1):
            self._measure_corrupted(pending, corruption)
            if pending:
                print(f"robustness: {corruption} ({number} of {len(self._corruptions)})", flush=True)
        for model in pending:
            self._finish(model, TrialResult(Outcome.DONE, _curve(self._measured(model))))

    def _fine_tuned(self, model: Model, sources: Ledger) -> bool:
        """Train the heads unless the ledger has them; return whether they survived it."""
        key = model.trial.key
        if (self._ledger.directory / key / BEST).exists():
            return True
        self._ledger.start(model.trial)
        with torch_threads(self._threads):
            network = trained_network(model.source, self._data, sources, self._device)
        specs = [
            corrupted_training_set(
                self._training_rows, self._corruptions, self._section.severities, self._section.seed, epoch
            )
            for epoch in range(1, self._section.fine_tuning.epochs + 1)
        ]
        try:
            fine_tune(
                network,
                self._tasks(model),
                [self._sets.get(spec) for spec in specs],
                self._section,
                model.trial.seed,
                self._device,
            )
        except Diverged as divergence:
            self._finish(
                model, TrialResult(Outcome.DIVERGED, (), divergence.cause, f"fine-tuning: {divergence.detail}")
            )
            return False
        weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        self._ledger.save_best(key, save_safetensors(weights))
        return True

    def _measure_corrupted(self, models: Sequence[Model], corruption: str) -> None:
        """Measure every model under all severities of one corruption, unless it has been."""
        if all(_has(self._measured(model), corruption) for model in models):
            return
        rows = self._test_rows
        specs = {severity: corrupted_test_set(rows, corruption, severity) for severity in self._section.severities}
        self._measure(models, corruption, {severity: self._sets.get(spec) for severity, spec in specs.items()})
        if not self._section.keep_corrupted:
            for spec in specs.values():
                self._sets.drop(spec)

    def _measure(self, models: Sequence[Model], corruption: str, sets: Mapping[int, ChosenRows]) -> None:
        """Measure, on `sets` by severity, every model that has not been; one network is in memory at a time."""
        for model in models:
            metrics = self._measured(model)
            if _has(metrics, corruption):
                continue
            network = build_network(model.source.trial, self._data, self._device)
            network.load_state_dict(load_safetensors((self._ledger.directory / model.trial.key / BEST).read_bytes()))
            for severity, rows in sets.items():
                metrics.setdefault(severity, {}).update(self._evaluate(network, model, rows, corruption))
            self._save(model, metrics)

    def _evaluate(self, network: MultiTaskNetwork, model: Model, rows: ChosenRows, corruption: str) -> dict[str, float]:
        size = model.trial.cell.training.batch_size
        # Evaluation asks no more of a split than its length and its batches.
        values = evaluate(network, cast(Split, rows), self._tasks(model), size, self._device)
        return {f"{corruption}/{name}": value for name, value in values.items()}

    def _tasks(self, model: Model) -> list[Task]:
        return self._data.tasks_of(model.trial.cell.tasks)

    def _measured(self, model: Model) -> Metrics:
        content = self._ledger.load_resume(model.trial.key)
        kept = json.loads(content) if content else {}
        return {
            int(severity): {name: decode_float(value) for name, value in values.items()}
            for severity, values in kept.items()
        }

    def _save(self, model: Model, metrics: Metrics) -> None:
        plain = {
            str(severity): {name: encode_float(value) for name, value in values.items()}
            for severity, values in metrics.items()
        }
        self._ledger.save_resume(model.trial.key, json.dumps(plain).encode())

    def _finish(self, model: Model, result: TrialResult) -> None:
        now = time.time()
        provenance = {"source_trial_key": model.source.trial.key, "source_epoch": model.source.best_epoch, **self.about}
        self._ledger.finish(
            FinishedTrial(model.trial, result, Execution(now, now, 0.0, os.uname().nodename, 1, provenance))
        )


def fine_tune(
    network: MultiTaskNetwork,
    tasks: Sequence[Task],
    epochs: Sequence[ChosenRows],
    section: Robustness,
    seed: int,
    device: torch.device,
) -> None:
    """Train the heads of `network` on corrupted images, each on its own task's loss; the backbone stays as it is.

    Frozen means also that the backbone's BatchNorm keeps its statistics.

    Raises:
        Diverged: a loss left the finite world.
    """
    tuning = section.fine_tuning
    network.backbone.requires_grad_(False)
    updater = build_updater(
        network,
        tasks,
        Choice(name="ew"),
        OPTIMIZERS.resolve(tuning.optimizer),
        tuning.learning_rate,
        generator=stream(seed, "weighting"),
    )
    for epoch, rows in enumerate(epochs, start=1):
        torch.manual_seed(stream_seed(seed, "fine-tuning forward", epoch))
        order = torch.randperm(len(rows), generator=stream(seed, "fine-tuning order", epoch))
        network.train()
        network.backbone.eval()
        for batch in rows.batches(order, tuning.batch_size, device):
            updater.step(batch)


def _has(metrics: Metrics, corruption: str) -> bool:
    return any(name.startswith(f"{corruption}/") for values in metrics.values() for name in values)


def _curve(metrics: Metrics) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(severity, metrics[severity], time.time(), 0.0) for severity in sorted(metrics))


def _track(uri: str, suite: str, models: Sequence[Model], finished: Sequence[FinishedTrial]) -> None:
    """Bring the study's MLflow experiment to what the ledger says.

    Raises:
        UserError: the server cannot be used.
    """
    tracker = Tracker(uri, f"{suite}-robustness")
    try:
        for model, one in zip(models, finished, strict=True):
            tracker.finish(one, {"study": "robustness", "source_trial_key": model.source.trial.key})
    except TrackingOutage as error:
        raise UserError(
            f"the tracking server went away ({str(error).splitlines()[0]}); every evaluation is safe in the ledger: "
            "start the server and run `dvc repro` again, nothing is measured twice."
        ) from error


def _write(directory: Path, scores: pd.DataFrame, about: dict[str, Any]) -> None:
    by_corruption = delta_t_by_corruption(scores)
    write_table(directory / SCORES, scores)
    write_table(directory / BY_CORRUPTION, by_corruption)
    write_table(directory / DELTA_T, delta_t(by_corruption))
    write_atomically(directory / ABOUT, json.dumps(about, indent=1).encode() + b"\n")
