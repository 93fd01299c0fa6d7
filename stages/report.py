"""DVC stage `report`: everything known about the active suites, on one page."""

from __future__ import annotations

import sys

from pipeline import paths
from pipeline.errors import UserError
from pipeline.files import write_atomically
from pipeline.params import load_params
from pipeline.reporting.page import render_page
from pipeline.reporting.suite_report import read_suite


def main() -> int:
    """Write the page; return the exit code."""
    try:
        suites = [read_suite(name, paths.results(name)) for name in load_params().active]
        write_atomically(paths.REPORT, render_page(suites).encode())
    except UserError as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    print(f"report: {len(suites)} suite(s) -> {paths.REPORT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
