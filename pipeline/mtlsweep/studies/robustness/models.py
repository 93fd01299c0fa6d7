"""The trained models that the robustness study measures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import Tensor

from mtlsweep import paths
from mtlsweep.files import content_hash
from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.studies.finished_trials import ChosenTrial, FinishedSuite
from mtlsweep.studies.robustness.corrupted_sets import evenly_spaced
from mtlsweep.studies.robustness.corruptions import library_version, resolve_corruptions
from mtlsweep.studies.robustness.params import Robustness
from mtlsweep.suites.prepared.batches import has_lone_row
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.trials.trial import Trial

STUDY_VERSION = 1
"""Increased by hand when the meaning of fine-tuning or measuring changes."""


@dataclass(frozen=True)
class Model:
    """A finished trial whose heads are trained again.

    Attributes:
        source: the trial. trial: the study's trial made from it, with its own key.
    """

    source: ChosenTrial
    trial: Trial


def choose_models(params: Params, suite: str, section: Robustness, data: PreparedData) -> list[Model]:
    """Return the replicates of each method's selected cell and of each task's baseline.

    Raises:
        UserError: the suite is not analysed, an unknown name, or a trial missing in the ledger.
    """
    finished, ledger = FinishedSuite.read(paths.results(suite)), Ledger(params.resources.ledger_root, suite)
    keys = [
        *finished.baselines["cell_key"],
        *finished.selected_methods(section.weightings, section.optimizers)["cell_key"],
    ]
    network = params.suite(suite).network
    chosen = [one for key in keys for one in finished.replicates(str(key), section.seeds, ledger, network)]
    merged = has_lone_row(len(training_rows(data, section)), section.fine_tuning.batch_size)
    return [Model(one, study_trial(one, suite, section, data.fingerprint, merged)) for one in chosen]


def training_rows(data: PreparedData, section: Robustness) -> Tensor:
    """Return the numbers of the training rows on which heads are fine-tuned."""
    return evenly_spaced(len(data.splits["train"]), section.fine_tuning.train_samples)


def study_trial(
    source: ChosenTrial, suite: str, section: Robustness, fingerprint: str, merges_last_batch: bool = False
) -> Trial:
    """Return the trial that the study makes from `source`: its key depends on everything that changes its result."""
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
        **({"last_batch": "merged"} if merges_last_batch else {}),
    }
    cell = dataclasses.replace(source.trial.cell, suite=f"{suite}-robustness", data_fingerprint=content_hash(identity))
    return Trial(cell, source.trial.seed)
