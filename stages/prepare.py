"""DVC stage `prepare`: a suite's raw or bundled data to memory-mapped Arrow splits."""

from __future__ import annotations

import sys

from pipeline import data, paths
from pipeline.params import load_params
from stages.command import run_for_suite


def prepare(suite: str) -> None:
    """Prepare the data of a suite."""
    data.prepare(load_params().suite(suite).data.dataset, paths.prepared(suite))


if __name__ == "__main__":
    sys.exit(run_for_suite("prepare", __doc__, prepare))
