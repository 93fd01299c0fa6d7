"""Raw tables of a stage: built from MLflow, checked against the ledger, equal bytes for equal results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.analysis.tables import CURVES, OUTCOMES
from pipeline.errors import UserError
from pipeline.tasks import Task
from pipeline.tracking import Tracker
from pipeline.trials import FinishedTrial

COSTS = pa.schema(
    [
        ("trial_key", pa.string()),
        ("role", pa.string()),
        ("seconds", pa.float64()),
        ("started", pa.timestamp("ms")),
        ("host", pa.string()),
        ("attempts", pa.int32()),
    ]
)


def build_curves(tracker: Tracker, finished: Sequence[FinishedTrial]) -> pd.DataFrame:
    """Return every recorded value of the finished trials, read from MLflow.

    Raises:
        UserError: MLflow and the ledger differ; the message names the first difference.
    """
    recorded = {
        (key, epoch, name): value
        for key, epoch, name, value in tracker.read_metrics(one.trial.key for one in finished)
        if name.count("/") == 2
    }
    _check(recorded, finished)
    rows = sorted((key, epoch, *name.split("/"), value) for (key, epoch, name), value in recorded.items())
    return pd.DataFrame(rows, columns=CURVES.names)


def _check(recorded: Mapping[tuple[str, int, str], float], finished: Sequence[FinishedTrial]) -> None:
    expected = {
        (one.trial.key, record.epoch, name): value
        for one in finished
        for record in one.result.curve
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


def build_outcomes(finished: Iterable[FinishedTrial]) -> pd.DataFrame:
    """Return one row a trial: what it was and how it ended."""
    rows = [
        {
            "trial_key": one.trial.key,
            "cell_key": one.trial.cell.key,
            "suite": one.trial.cell.suite,
            "role": one.trial.cell.role,
            "task": one.trial.cell.tasks[0] if one.trial.cell.role == "stl" else None,
            "weighting": one.trial.cell.weighting_label,
            "optimizer": one.trial.cell.optimizer_label,
            "lr": one.trial.cell.learning_rate,
            "seed": one.trial.seed,
            "outcome": one.result.outcome.value,
            "cause": one.result.cause,
            "epochs": len(one.result.curve),
        }
        for one in sorted(finished, key=lambda one: one.trial.key)
    ]
    return pd.DataFrame(rows, columns=OUTCOMES.names)


def build_costs(finished: Iterable[FinishedTrial]) -> pd.DataFrame:
    """Return one row a trial: what it cost and where it ran."""
    rows = [
        {
            "trial_key": one.trial.key,
            "role": one.trial.cell.role,
            "seconds": one.execution.seconds,
            "started": pd.Timestamp(one.execution.started_at, unit="s").floor("ms"),
            "host": one.execution.host,
            "attempts": one.execution.attempts,
        }
        for one in sorted(finished, key=lambda one: one.trial.key)
    ]
    return pd.DataFrame(rows, columns=COSTS.names)


def metric_definitions(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Return the direction of every metric, as analysis reads it."""
    return [
        {
            "task": task.name,
            "metric": metric.name,
            "higher_is_better": metric.higher_is_better,
            "in_delta_m": metric.in_delta_m,
        }
        for task in tasks
        for metric in task.metrics
    ]
