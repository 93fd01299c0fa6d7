"""DVC stage `baselines`: train the single-task trials of a suite, the reference of all comparisons."""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import baselines
from stages.command import run_for_suite

if __name__ == "__main__":
    sys.exit(run_for_suite("baselines", __doc__, baselines))
