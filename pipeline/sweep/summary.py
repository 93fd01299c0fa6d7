"""A suite's `summary` run in MLflow: the figures and tables of its report, and the numbers people compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.analysis.store import read_analysis
from pipeline.data import open_prepared
from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.reporting.sentences import answer
from pipeline.sweep.provenance import read_provenance
from pipeline.tracking import Tracker, TrackingOutage


def record_summary(params: Params, suite: str, report: Path) -> str | None:
    """Write the suite's summary run anew; return why it could not be written, or None.

    Tracking may lag, it may never fail a stage: a server that is away is reported, not raised.

    Args:
        params: of the study.
        suite: its name.
        report: directory of the report, with `figures/<suite>` and `tables/<suite>`.

    Raises:
        UserError: the suite was not analysed, or its data is not prepared.
    """
    summary = paths.results(suite) / "summary.json"
    if not summary.exists():
        raise UserError(f"`{summary}` is missing; run `dvc repro` to make it.")
    numbers = json.loads(summary.read_bytes())
    data = open_prepared(paths.prepared(suite))
    artifacts = [
        (path, str(kind / path.parent.relative_to(report / kind / suite)))
        for kind in (Path("figures"), Path("tables"))
        for path in sorted((report / kind / suite).rglob("*.*"))
    ]
    tags = {
        "data_fingerprint": data.fingerprint,
        "dataset": params.suite(suite).data.dataset.name,
        "mlflow.note.content": "\n".join(f"- {sentence}" for sentence in answer(read_analysis(paths.results(suite)))),
    }
    sha = read_provenance()["git_sha"]
    try:
        tracker = Tracker(params.resources.tracking_uri, suite)
        tracker.log_summary(
            dict(_flatten(numbers)), artifacts, {**tags, **({"git_sha": sha} if sha else {})}, data.fingerprint
        )
    except UserError as error:
        return str(error)
    except TrackingOutage as error:
        return (
            f"the summary run of `{suite}` could not be written ({str(error).splitlines()[0]}); run `dvc repro` again"
        )
    return None


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield `best_by_optimizer/adam/delta_m` and its value for every number of a nested mapping."""
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            yield from _flatten(entry, f"{prefix}{name}/")
        elif isinstance(entry, int | float):
            yield f"{prefix}{name}", float(entry)
