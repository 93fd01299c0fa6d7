"""DVC stage `report`: write a page, figures and tables of the active suites, also to MLflow."""

from __future__ import annotations

import json
import sys

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.params import Params, load_params
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow.summary import Summary, record_summary
from mtlsweep.report.answer import answer
from mtlsweep.report.data import data_section
from mtlsweep.report.report import write_report
from mtlsweep.report.suite import SuiteReport, read_suite
from mtlsweep.studies.study import study_results
from mtlsweep.suites.prepared import open_prepared
from stages.command import run


def report() -> str:
    """Write the report; return a message with its path."""
    params = load_params()
    suites = [_read(name) for name in params.active]
    page = write_report(suites, paths.REPORT.parent, study_results(paths.RESULTS, per_suite=False))
    for suite in suites:
        summary = _summary(params, suite)
        ledger = Ledger(params.resources.ledger_root, suite.name)
        if problem := record_summary(
            params.resources.tracking_uri, suite.name, ledger.id, summary, paths.REPORT.parent
        ):
            print(f"report: {problem}", file=sys.stderr)
    return f"{len(suites)} suite(s) -> {page}"


def _read(name: str) -> SuiteReport:
    directory, data = paths.results(name), data_section(paths.prepared(name))
    return read_suite(name, directory, ((data,) if data else ()) + study_results(directory, per_suite=True))


def _summary(params: Params, suite: SuiteReport) -> Summary:
    path = paths.results(suite.name) / "summary.json"
    if not path.exists():
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.")
    return Summary(
        numbers=json.loads(path.read_bytes()),
        sentences=answer(suite.analysis),
        dataset=params.suite(suite.name).data.dataset.name,
        fingerprint=open_prepared(paths.prepared(suite.name)).fingerprint,
    )


if __name__ == "__main__":
    sys.exit(run("report", report))
