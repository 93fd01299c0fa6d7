"""Entries of a run besides the curve: params, tags, the dataset, and the epoch that counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from mtlsweep import paths
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.metric_names import at_best
from mtlsweep.trials.state import MEASURED, FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

DIGEST_DIGITS = 16
"""Digits of the fingerprint in MLflow's dataset column (limit 36); the param `data_fingerprint` has all digits."""

AtBest = Callable[[Sequence[Mapping[str, float]]], tuple[int, Mapping[str, float]] | None]
"""Chooses one of a trial's epochs, and gives its position and figures; None if none can be chosen."""


def milliseconds(seconds: float) -> int:
    """Return a time as MLflow has it."""
    return int(seconds * 1000)


def params_of(trial: Trial) -> dict[str, Any]:
    """Return a trial's semantic fields by name; the most compared fields have short names."""
    cell = trial.cell
    params: dict[str, Any] = {
        "weighting": cell.weighting_label,
        "optimizer": cell.optimizer_label,
        "lr": cell.learning_rate,
        "seed": trial.seed,
        "tasks": ",".join(cell.tasks),
        "network": cell.network.name,
        "data_fingerprint": cell.data_fingerprint,
    }
    for prefix, choice in (("network", cell.network), ("weighting", cell.weighting), ("optimizer", cell.optimizer)):
        shown = {**choice.options, **cell.content.get(prefix, {})}  # a file by its content: a path may change
        params.update({f"{prefix}.{name}": value for name, value in shown.items()})
    params.update({f"training.{name}": value for name, value in cell.training.model_dump(mode="json").items()})
    return params


def end_tags(finished: FinishedTrial) -> dict[str, str]:
    """Return the tags of a finished trial."""
    tags = {"outcome": finished.state.outcome.value, "host": finished.execution.host}
    if finished.state.cause:
        tags["cause"] = finished.state.cause
    if finished.state.detail:
        tags["mlflow.note.content"] = f"```\n{_printable(finished.state.detail[-4000:])}\n```"
    if sha := finished.execution.provenance.get("git_sha"):
        tags["mlflow.source.git.commit"] = str(sha)
    return tags


def _printable(text: str) -> str:
    """Return a text that every database takes: PostgreSQL refuses NUL, and all refuse half a surrogate pair."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def best_rows(outcome: Outcome, curve: Sequence[EpochRecord], choose: AtBest) -> list[Metric]:
    """Return the figures of the epoch that counts, so that sorting MLflow's table agrees with the report; none without a result."""
    chosen = choose([record.metrics for record in curve]) if outcome in MEASURED else None
    if chosen is None:
        return []
    position, figures = chosen
    record = curve[position]
    values = {"epoch": float(record.epoch), **figures}
    return [
        Metric(at_best(name), value, milliseconds(record.finished_at), record.epoch) for name, value in values.items()
    ]


def dataset_of(suite: str, fingerprint: str) -> DatasetInput:
    """Return the prepared data called `fingerprint` as an MLflow dataset: name, digest, source and number of rows.

    Name and rows come from the prepared data on disk. If it is missing or has another fingerprint, the
    name is the suite's name and the rows are left out.
    """
    try:
        summary = json.loads(paths.prepared_summary(suite).read_bytes())
        known = bool(summary["fingerprint"] == fingerprint)
        name = str(summary["dataset"])
    except (OSError, ValueError, KeyError):
        known, name = False, suite
    rows = summary["splits"] if known else {}
    data = Dataset(
        name=name,
        digest=fingerprint[:DIGEST_DIGITS],
        source_type="local",
        source=json.dumps({"uri": str(paths.prepared(suite)), "fingerprint": fingerprint}),
        profile=json.dumps({"num_rows": sum(rows.values()), **rows}) if rows else None,
    )
    return DatasetInput(data, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])
