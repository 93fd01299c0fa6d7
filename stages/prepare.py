"""DVC stage `prepare`: convert a suite's raw or bundled data to memory-mapped Arrow splits."""

from __future__ import annotations

import sys

from mtlsweep import paths
from mtlsweep.params.params import load_params
from mtlsweep.suites import prepared
from stages.command import run_for_suite


def prepare(suite: str) -> None:
    """Prepare the data of a suite."""
    prepared.prepare(load_params().suite(suite).data.dataset, paths.prepared(suite))


if __name__ == "__main__":
    sys.exit(run_for_suite("prepare", __doc__, prepare))
