"""DVC stage `baselines`: train the single-task trials of a suite, the reference of all comparisons."""

from __future__ import annotations

import sys

from mtlsweep.params.params import load_params
from mtlsweep.sweep.stage import run_stage
from stages.command import run_for_suite


def baselines(suite: str) -> None:
    """Run the single-task trials that the ledger lacks."""
    run_stage(load_params(), suite, "baselines")


if __name__ == "__main__":
    sys.exit(run_for_suite("baselines", __doc__, baselines))
