"""DVC stage `prepare`: convert a suite's raw or bundled data to memory-mapped Arrow splits."""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import prepare
from stages.command import run_for_suite

if __name__ == "__main__":
    sys.exit(run_for_suite("prepare", __doc__, prepare))
