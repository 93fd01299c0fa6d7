"""DVC stage `analyse`: compute trial table, results, fronts and summary of a suite from its raw curves."""

from __future__ import annotations

import sys

from mtlsweep.params.params import load_params
from mtlsweep.project import steps
from stages.command import run_for_suite


def analyse(suite: str) -> str:
    """Analyse a suite after its sweep; return a short summary."""
    return steps.analyse(load_params(), suite)


if __name__ == "__main__":
    sys.exit(run_for_suite("analyse", __doc__, analyse))
