"""DVC stage `robustness`: how a suite's selected cells and its baselines bear corrupted images."""

from __future__ import annotations

import sys

from pipeline.params import load_params
from pipeline.studies.robustness import run_robustness
from stages.command import run_for_suite


def robustness(suite: str) -> str:
    """Measure a suite that has been analysed; return where the tables are."""
    return f"-> {run_robustness(load_params(), suite)}"


if __name__ == "__main__":
    sys.exit(run_for_suite("robustness", __doc__, robustness))
