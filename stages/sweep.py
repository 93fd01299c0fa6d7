"""DVC stage `sweep`: train the multi-task trials of a suite."""

from __future__ import annotations

import sys

from mtlsweep.params.params import load_params
from mtlsweep.sweep.stage import run_stage
from stages.command import run_for_suite


def sweep(suite: str) -> None:
    """Run the multi-task trials that the ledger lacks."""
    run_stage(load_params(), suite, "sweep")


if __name__ == "__main__":
    sys.exit(run_for_suite("sweep", __doc__, sweep))
