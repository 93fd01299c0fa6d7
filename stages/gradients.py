"""DVC stage `gradients`: conflicts between tasks and between samples while a suite's chosen cells train."""

from __future__ import annotations

import sys

from pipeline.params import load_params
from pipeline.studies.gradients import run_gradients
from stages.command import run_for_suite


def gradients(suite: str) -> str:
    """Measure a suite that has been analysed; return where the tables are."""
    return f"-> {run_gradients(load_params(), suite)}"


if __name__ == "__main__":
    sys.exit(run_for_suite("gradients", __doc__, gradients))
