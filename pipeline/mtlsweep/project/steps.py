"""The steps of the pipeline, as DVC's stages and `Project` take them. They run in the project's root."""

from __future__ import annotations

import json
from pathlib import Path

from mtlsweep import paths
from mtlsweep.analysis.suite_files import analyse_directory
from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow.summary import Summary, record_summary
from mtlsweep.report.answer import answer
from mtlsweep.report.data import data_section
from mtlsweep.report.report import write_report
from mtlsweep.report.suite import SuiteReport, read_suite
from mtlsweep.studies.study import study_results
from mtlsweep.suites.prepared import open_prepared


def analyse(params: Params, suite: str) -> str:
    """Compute trial table, results, fronts and summary of a suite from its raw curves; return a short summary.

    Raises:
        UserError: the suite is not swept yet, a table is damaged, or a task has no usable baseline.
    """
    directory = paths.results(suite)
    settings = params.suite(suite).analysis
    analysis = analyse_directory(directory, all_metrics=settings.front_metrics == "all")
    return f"{len(analysis.trials)} trials, {len(analysis.results)} methods -> {directory / 'trials.parquet'}"


def read_analysed(suite: str) -> SuiteReport:
    """Return what is known about an analysed suite.

    Raises:
        UserError: the suite is not analysed yet, or a table is damaged.
    """
    directory, data = paths.results(suite), data_section(paths.prepared(suite))
    return read_suite(suite, directory, ((data,) if data else ()) + study_results(directory, per_suite=True))


def report(params: Params) -> tuple[Path, list[str]]:
    """Write page, figures and tables of the active suites, also to MLflow.

    Returns:
        The page, and for each suite that MLflow did not take a sentence that says why.

    Raises:
        UserError: a suite is not analysed yet, or a table is damaged.
    """
    suites = [read_analysed(name) for name in params.active]
    page = write_report(suites, paths.REPORT.parent, study_results(paths.RESULTS, per_suite=False))
    recorded = [
        record_summary(
            params.resources.tracking_uri,
            suite.name,
            Ledger(params.resources.ledger_root, suite.name).id,
            _summary(params, suite),
            paths.REPORT.parent,
        )
        for suite in suites
    ]
    return page, [problem for problem in recorded if problem]


def _summary(params: Params, suite: SuiteReport) -> Summary:
    path = paths.results(suite.name) / "summary.json"
    if not path.exists():
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.")
    return Summary(
        numbers=json.loads(path.read_bytes()),
        sentences=answer(suite.analysis).sentences,
        dataset=params.suite(suite.name).data.dataset.name,
        fingerprint=open_prepared(paths.prepared(suite.name)).fingerprint,
    )
