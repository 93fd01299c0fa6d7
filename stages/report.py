"""DVC stage `report`: write a page, figures and tables of the active suites, also to MLflow."""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import report, run

if __name__ == "__main__":
    sys.exit(run("report", report))
