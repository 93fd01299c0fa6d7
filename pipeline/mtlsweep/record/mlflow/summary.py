"""A suite's `summary` run in MLflow: figures and tables of its report, and its main numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from mtlsweep.errors import UserError
from mtlsweep.files import visible
from mtlsweep.record.mlflow.artifacts import place_artifacts
from mtlsweep.record.mlflow.entries import dataset_of
from mtlsweep.record.mlflow.experiment import Experiment
from mtlsweep.record.mlflow.outage import server_errors
from mtlsweep.record.provenance import read_provenance

_NOT_IN_NAMES = re.compile(r"[^\w.\-/]+")
"""What MLflow refuses in names of metrics; labels such as `sgd(momentum=0)` have it."""


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


def record_summary(uri: str, suite: str, ledger_id: str, summary: Summary, report: Path) -> str | None:
    """Write the suite's summary run in place of this ledger's earlier one; return an error message if that fails, or None.

    Tracking must never fail a stage: an outage is returned, not raised.

    Args:
        uri: tracking URI.
        suite: name of the suite.
        ledger_id: see `Ledger.id`.
        summary: content of the run.
        report: directory of the report, with `figures/<suite>` and `tables/<suite>`.
    """
    artifacts = [
        (path, str(kind / path.parent.relative_to(report / kind / suite)))
        for kind in (Path("figures"), Path("tables"))
        for path in sorted(visible((report / kind / suite).rglob("*.*")))
    ]
    try:
        experiment = Experiment(uri, suite, ledger_id)
        with server_errors(experiment.uri):
            _write(experiment, summary, artifacts)
    except UserError as error:
        return f"the summary run of `{suite}` could not be written: {error}"
    return None


def _write(experiment: Experiment, summary: Summary, artifacts: Iterable[tuple[Path, str]]) -> None:
    """Write the run; each artifact comes with its folder in the run."""
    client = experiment.client
    for earlier in list(experiment.own_runs("tags.kind = 'summary'")):
        client.delete_run(earlier.info.run_id)
    sha = read_provenance()["git_sha"]
    tags = {
        "kind": "summary",
        "data_fingerprint": summary.fingerprint,
        "dataset": summary.dataset,
        "mlflow.note.content": "\n".join(f"- {sentence}" for sentence in summary.sentences),
        **({"git_sha": sha} if sha else {}),
    }
    info = experiment.create_run(f"summary {experiment.suite}", tags).info
    place_artifacts(client, info)
    client.log_inputs(info.run_id, [dataset_of(experiment.suite, summary.fingerprint)])
    numbers = ((_NOT_IN_NAMES.sub(" ", name).strip(), value) for name, value in _flatten(summary.numbers))
    client.log_batch(info.run_id, [Metric(name, value, info.start_time, 0) for name, value in numbers])
    for path, folder in artifacts:
        client.log_artifact(info.run_id, str(path), folder)
    client.set_terminated(info.run_id)


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield `best_by_optimizer/adam/delta_m` and its value for every number of a nested mapping."""
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            yield from _flatten(entry, f"{prefix}{name}/")
        elif isinstance(entry, int | float):
            yield f"{prefix}{name}", float(entry)
