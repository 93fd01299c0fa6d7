"""DVC stage `sweep`: train the multi-task trials of a suite."""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import sweep
from stages.command import run_for_suite

if __name__ == "__main__":
    sys.exit(run_for_suite("sweep", __doc__, sweep))
