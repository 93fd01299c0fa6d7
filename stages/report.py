"""DVC stage `report`: everything known about the active suites: one page, figures and tables beside it and in MLflow."""

from __future__ import annotations

import sys

from pipeline import paths
from pipeline.params import load_params
from pipeline.reporting.report import write_report
from pipeline.reporting.studies import own_sections
from pipeline.reporting.suite_report import read_suite
from pipeline.sweep.summary import record_summary
from stages.command import run


def report() -> str:
    """Write the report; return where it is."""
    params = load_params()
    suites = [read_suite(name, paths.results(name)) for name in params.active]
    page = write_report(suites, paths.REPORT.parent, own_sections(paths.RESULTS))
    for name in params.active:
        if trouble := record_summary(params, name, paths.REPORT.parent):
            print(f"report: {trouble}", file=sys.stderr)
    return f"{len(suites)} suite(s) -> {page}"


if __name__ == "__main__":
    sys.exit(run("report", report))
