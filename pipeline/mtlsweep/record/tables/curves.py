"""Raw tables of a stage: built from MLflow, checked against the ledger, equal bytes for equal results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from mtlsweep.errors import UserError
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.tables.schema import CURVES
from mtlsweep.trials.metric_names import MetricName
from mtlsweep.trials.state import FinishedTrial


def build_curves(tracker: Tracker, finished: Sequence[FinishedTrial]) -> pd.DataFrame:
    """Return every recorded value of the finished trials, read from MLflow.

    Raises:
        UserError: MLflow and the ledger differ; the message names the first difference.
    """
    recorded = {
        (key, epoch, name): value
        for key, epoch, name, value in tracker.read_metrics(one.trial.key for one in finished)
        if MetricName.parse(name)
    }
    _check(recorded, finished)
    rows = sorted(
        (key, epoch, name.split, name.task, name.metric, value)
        for (key, epoch, text), value in recorded.items()
        if (name := MetricName.parse(text))
    )
    return pd.DataFrame(rows, columns=CURVES.names)


def _check(recorded: Mapping[tuple[str, int, str], float], finished: Sequence[FinishedTrial]) -> None:
    expected = {
        (one.trial.key, record.epoch, name): value
        for one in finished
        for record in one.state.curve
        for name, value in record.metrics.items()
    }
    for place in sorted(expected.keys() | recorded.keys()):
        ours, theirs = expected.get(place), recorded.get(place)
        if ours is None or theirs is None or not (ours == theirs or (math.isnan(ours) and math.isnan(theirs))):
            key, epoch, name = place
            suite = finished[0].trial.cell.suite
            raise UserError(
                f"MLflow and the ledger differ for trial {key}: `{name}` at epoch {epoch} is {theirs} in MLflow and {ours} in the "
                f"ledger; run `mtlsweep mlflow rebuild {suite}`, which makes MLflow again from the ledger."
            )
