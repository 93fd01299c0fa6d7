"""DVC stage `analyse`: compute trial table, results, fronts and summary of a suite from its raw curves."""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import analyse
from stages.command import run_for_suite

if __name__ == "__main__":
    sys.exit(run_for_suite("analyse", __doc__, analyse))
