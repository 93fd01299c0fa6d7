"""A suite's `summary` run in MLflow: figures and tables of its report, and its main numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlsweep.errors import UserError, first_line
from mtlsweep.files import visible
from mtlsweep.record.mlflow import Tracker, TrackingError
from mtlsweep.record.provenance import read_provenance


@dataclass(frozen=True)
class Summary:
    """Content of a suite's summary run.

    Attributes:
        numbers: nested numbers of `summary.json`.
        sentences: the answer of the report.
        dataset: name of the dataset.
        fingerprint: fingerprint of the prepared data.
    """

    numbers: Mapping[str, Any]
    sentences: Iterable[str]
    dataset: str
    fingerprint: str


def record_summary(uri: str, suite: str, summary: Summary, report: Path) -> str | None:
    """Rewrite the suite's summary run; return an error message if that fails, or None.

    Tracking must never fail a stage: an outage is returned, not raised.

    Args:
        uri: tracking URI.
        suite: name of the suite.
        summary: content of the run.
        report: directory of the report, with `figures/<suite>` and `tables/<suite>`.
    """
    artifacts = [
        (path, str(kind / path.parent.relative_to(report / kind / suite)))
        for kind in (Path("figures"), Path("tables"))
        for path in sorted(visible((report / kind / suite).rglob("*.*")))
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
