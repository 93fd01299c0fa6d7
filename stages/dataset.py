"""DVC stage `dataset`: write what the prepared data of a suite follows from, its dataset's options and code.

It always runs and takes seconds, so that `prepare` runs when one of them has changed, and only then.
"""

from __future__ import annotations

import json
import sys

from mtlsweep import paths
from mtlsweep.files import write_atomically
from mtlsweep.params.params import load_params
from mtlsweep.suites.prepared.preparation import preparation_identity
from stages.command import run_for_suite


def dataset(suite: str) -> None:
    """Write the identity of a suite's dataset."""
    identity = preparation_identity(load_params().suite(suite).data.dataset)
    write_atomically(paths.plan(suite) / "dataset.json", json.dumps(identity, indent=1).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(run_for_suite("dataset", __doc__, dataset))
