"""A suite's `summary` run in MLflow: the figures and tables of its report, and the numbers people compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlsweep.errors import UserError, first_line
from mtlsweep.record.mlflow import Tracker, TrackingError
from mtlsweep.record.provenance import read_provenance


@dataclass(frozen=True)
class Summary:
    """What people see of a suite in its summary run.

    Attributes:
        numbers: nested figures of `summary.json`.
        sentences: the answer of the report.
        dataset: name of the dataset.
        fingerprint: of the prepared data.
    """

    numbers: Mapping[str, Any]
    sentences: Iterable[str]
    dataset: str
    fingerprint: str


def record_summary(uri: str, suite: str, summary: Summary, report: Path) -> str | None:
    """Write the suite's summary run anew; return why it could not be written, or None.

    Tracking may lag, it may never fail a stage: a server that is away is reported, not raised.

    Args:
        uri: tracking URI.
        suite: its name.
        summary: what is recorded.
        report: directory of the report, with `figures/<suite>` and `tables/<suite>`.
    """
    artifacts = [
        (path, str(kind / path.parent.relative_to(report / kind / suite)))
        for kind in (Path("figures"), Path("tables"))
        for path in sorted((report / kind / suite).rglob("*.*"))
    ]
    tags = {
        "data_fingerprint": summary.fingerprint,
        "dataset": summary.dataset,
        "mlflow.note.content": "\n".join(f"- {sentence}" for sentence in summary.sentences),
    }
    sha = read_provenance()["git_sha"]
    try:
        tracker = Tracker(uri, suite)
        tracker.log_summary(
            dict(_flatten(summary.numbers)),
            artifacts,
            {**tags, **({"git_sha": sha} if sha else {})},
            summary.fingerprint,
        )
    except UserError as error:
        return str(error)
    except TrackingError as error:
        return f"the summary run of `{suite}` could not be written ({first_line(error)}); run `dvc repro` again"
    return None


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield `best_by_optimizer/adam/delta_m` and its value for every number of a nested mapping."""
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            yield from _flatten(entry, f"{prefix}{name}/")
        elif isinstance(entry, int | float):
            yield f"{prefix}{name}", float(entry)
