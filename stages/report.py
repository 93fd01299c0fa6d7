"""DVC stage `report`: write a page, figures and tables of the active suites, also to MLflow."""

from __future__ import annotations

import sys

from mtlsweep.params.params import load_params
from mtlsweep.project import steps
from stages.command import run


def report() -> str:
    """Write the report; return a message with its path."""
    params = load_params()
    page, problems = steps.report(params)
    for problem in problems:
        print(f"report: {problem}", file=sys.stderr)
    return f"{len(params.active)} suite(s) -> {page}"


if __name__ == "__main__":
    sys.exit(run("report", report))
