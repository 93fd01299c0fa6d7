"""Metrics of trained models on corrupted images."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from mtlsweep.files import decode_float, encode_float
from mtlsweep.record.ledger import Ledger
from mtlsweep.studies.retraining import trained_network
from mtlsweep.studies.robustness.corrupted_sets import (
    ChosenRows,
    CorruptedSets,
    corrupted_test_set,
    corrupted_training_set,
    evenly_spaced,
)
from mtlsweep.studies.robustness.corruptions import library_version, resolve_corruptions
from mtlsweep.studies.robustness.delta_t import CLEAN
from mtlsweep.studies.robustness.fine_tuning import fine_tune
from mtlsweep.studies.robustness.models import Model, training_rows
from mtlsweep.studies.robustness.params import Robustness
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import PreparedData, Split
from mtlsweep.suites.tasks import Task
from mtlsweep.training.device import torch_threads
from mtlsweep.training.epoch import build_network
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.metric_names import of_split
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome

Metrics = dict[int, dict[str, float]]
"""By severity, the recorded metrics; a corruption stands for their split."""


class RobustnessMeter:
    """Measures all models on the same rows and corrupted sets, and records the results."""

    def __init__(
        self, section: Robustness, data: PreparedData, ledger: Ledger, sets: CorruptedSets, device: str, threads: int
    ) -> None:
        self._threads = threads
        self._section, self._data, self._ledger, self._sets = section, data, ledger, sets
        self._device = torch.device(device)
        self._corruptions = resolve_corruptions(section.corruptions)
        self._test_rows = evenly_spaced(len(data.splits["test"]), section.test_samples)
        self._training_rows = training_rows(data, section)
        self.about: dict[str, Any] = {
            "corruptions": list(self._corruptions),
            "severities": list(section.severities),
            "test_samples": len(self._test_rows),
            "fine_tuning": {**section.fine_tuning.model_dump(mode="json"), "train_samples": len(self._training_rows)},
            "library": library_version(),
        }

    def run(self, models: Sequence[Model], sources: Ledger) -> None:
        """Finish every model that is not finished in the ledger."""
        done = self._ledger.finished_keys()
        pending = [model for model in models if model.trial.key not in done]
        print(f"robustness: {len(models) - len(pending)} of {len(models)} models finished before", flush=True)
        with torch_threads(self._threads):
            pending = [model for model in pending if self._fine_tuned(model, sources)]
            self._measure(pending, CLEAN, {0: ChosenRows(self._data.splits["test"], self._test_rows)})
            for number, corruption in enumerate(self._corruptions, start=1):
                self._measure_corrupted(pending, corruption)
                if pending:
                    print(f"robustness: {corruption} ({number} of {len(self._corruptions)})", flush=True)
        for model in pending:
            self._finish(model, Finished(Outcome.DONE, _curve(self._measured(model))))

    def _fine_tuned(self, model: Model, sources: Ledger) -> bool:
        """Train the heads unless the ledger has them; return whether training did not diverge."""
        key = model.trial.key
        if self._ledger.checkpoints.has_best(key):
            return True
        self._ledger.start(model.trial)
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
            self._finish(model, Finished(Outcome.DIVERGED, (), divergence.cause, f"fine-tuning: {divergence.detail}"))
            return False
        weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        self._ledger.checkpoints.save_best(key, save_safetensors(weights))
        return True

    def _measure_corrupted(self, models: Sequence[Model], corruption: str) -> None:
        """Measure every model under all severities of one corruption, unless already done."""
        if all(_has(self._measured(model), corruption) for model in models):
            return
        rows = self._test_rows
        specs = {severity: corrupted_test_set(rows, corruption, severity) for severity in self._section.severities}
        self._measure(models, corruption, {severity: self._sets.get(spec) for severity, spec in specs.items()})
        if not self._section.keep_corrupted:
            for spec in specs.values():
                self._sets.drop(spec)

    def _measure(self, models: Sequence[Model], corruption: str, sets: Mapping[int, ChosenRows]) -> None:
        """Measure, on `sets` by severity, every model not measured yet; one network is in memory at a time."""
        for model in models:
            metrics = self._measured(model)
            if _has(metrics, corruption):
                continue
            network = build_network(model.source.trial, self._data, self._device)
            weights = self._ledger.checkpoints.load_best(model.trial.key)
            assert weights is not None  # see `_fine_tuned`
            network.load_state_dict(load_safetensors(weights))
            for severity, rows in sets.items():
                metrics.setdefault(severity, {}).update(self._evaluate(network, model, rows, corruption))
            self._save(model, metrics)

    def _evaluate(self, network: MultiTaskNetwork, model: Model, rows: ChosenRows, corruption: str) -> dict[str, float]:
        size = model.trial.cell.training.batch_size
        # Evaluation uses only the length and the batches of a split.
        return evaluate(network, cast(Split, rows), self._tasks(model), size, self._device, corruption)

    def _tasks(self, model: Model) -> list[Task]:
        return self._data.tasks_of(model.trial.cell.tasks)

    def _measured(self, model: Model) -> Metrics:
        content = self._ledger.checkpoints.load_resume(model.trial.key)
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
        self._ledger.checkpoints.save_resume(model.trial.key, json.dumps(plain).encode())

    def _finish(self, model: Model, result: Finished) -> None:
        now = time.time()
        provenance = {"source_trial_key": model.source.trial.key, "source_epoch": model.source.best_epoch, **self.about}
        self._ledger.finish(
            FinishedTrial(model.trial, result, Execution(now, now, 0.0, os.uname().nodename, 1, provenance))
        )


def _has(metrics: Metrics, corruption: str) -> bool:
    return any(of_split(values, corruption) for values in metrics.values())


def _curve(metrics: Metrics) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(severity, metrics[severity], time.time(), 0.0) for severity in sorted(metrics))
