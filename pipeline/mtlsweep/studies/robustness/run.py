"""The experiment `robustness`: does multi-task training make a backbone perform better on corrupted images?

The heads of each method's selected cell and of the single-task baselines are trained again on corrupted
images with a frozen backbone, then measured under every corruption and severity. Each such model is
a trial of its own in a ledger and an MLflow experiment of the study (`<suite>-robustness`): a metric
`<corruption>/<task>/<metric>` has the severity as its step, 0 for clean images. A stopped run
continues after the last corruption that each model has finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mtlsweep import paths
from mtlsweep.environment import usable_cpus
from mtlsweep.files import indented_json, write_atomically
from mtlsweep.params.params import Params
from mtlsweep.params.studies import find_section
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.studies.robustness.corrupted_sets import CorruptedSets, corrupting_pool
from mtlsweep.studies.robustness.delta_t import SCORE_COLUMNS, delta_t, delta_t_by_corruption, gather_scores
from mtlsweep.studies.robustness.measuring import RobustnessMeter
from mtlsweep.studies.robustness.models import Model, choose_models
from mtlsweep.studies.robustness.params import Robustness
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.training.device import choose_device
from mtlsweep.trials.state import FinishedTrial

SCORES, DELTA_T, BY_CORRUPTION, ABOUT = "scores.parquet", "delta_t.parquet", "by_corruption.parquet", "about.json"


def run(params: Params, suite: str, workers: int | None = None) -> str:
    """Measure what is missing in the ledger and write tables under `results/<suite>/robustness/`; return where they are.

    Args:
        workers: processes that corrupt images; None means one for each usable CPU.

    Raises:
        UserError: the suite is not analysed, an unknown name, images that cannot be corrupted, a lost or
            changed trial, or an outage of MLflow. Everything measured before is in the ledger.
    """
    section, directory = find_section(params.suite(suite).studies, Robustness), paths.results(suite) / "robustness"
    if not section.enabled:
        _write(directory, pd.DataFrame(columns=SCORE_COLUMNS), {})
        return "not enabled"
    data = open_prepared(paths.prepared(suite))
    if IMAGE not in data.inputs:
        _write(directory, pd.DataFrame(columns=SCORE_COLUMNS), {})
        return f"not measured: corruptions are of images, and the data of `{suite}` has none"
    ledger = Ledger(params.resources.ledger_root / suite, "robustness")
    ledger.prepare()
    models = choose_models(params, suite, section, data)
    with corrupting_pool(workers or usable_cpus()) as executor:
        sets = CorruptedSets(data, section.seed, executor)
        study = RobustnessMeter(
            section, data, ledger, sets, choose_device(params.resources.device), params.resources.threads
        )
        study.run(models, Ledger(params.resources.ledger_root, suite))
    finished = [ledger.read(model.trial.key) for model in models]
    _track(Tracker(params.resources.tracking_uri, f"{suite}-robustness", ledger.id), models, finished)
    _write(
        directory,
        gather_scores([(model.source.trial.key, one) for model, one in zip(models, finished, strict=True)], data.tasks),
        study.about,
    )
    return f"-> {directory}"


def _track(tracker: Tracker, models: Sequence[Model], finished: Sequence[FinishedTrial]) -> None:
    """Update the study's MLflow experiment from the ledger."""
    for model, one in zip(models, finished, strict=True):
        tracker.finish(one, {"study": "robustness", "source_trial_key": model.source.trial.key})


def _write(directory: Path, scores: pd.DataFrame, about: dict[str, Any]) -> None:
    by_corruption = delta_t_by_corruption(scores)
    write_table(directory / SCORES, scores)
    write_table(directory / BY_CORRUPTION, by_corruption)
    write_table(directory / DELTA_T, delta_t(by_corruption))
    write_atomically(directory / ABOUT, indented_json(about))
