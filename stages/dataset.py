"""DVC stage `dataset`: write what the prepared data of a suite follows from, its dataset's options and code.

It always runs, so that `prepare` runs when one of them has changed, and only then.
"""

from __future__ import annotations

import sys

from mtlsweep import paths
from mtlsweep.params.followed import read_followed, write_followed
from mtlsweep.params.params import load_params
from stages.command import run_for_suite


def dataset(suite: str) -> None:
    """Write the identity of a suite's dataset, if anything has changed that it follows from."""
    choice, path = load_params().suite(suite).data.dataset, paths.plan(suite) / "dataset.json"
    values = choice.model_dump(mode="json")
    if read_followed(path, values) is None:
        from mtlsweep.suites.prepared.preparation import preparation_identity  # imports torch, which takes seconds

        identity = preparation_identity(choice)
        write_followed(path, identity, values, identity.get("files", {}))


if __name__ == "__main__":
    sys.exit(run_for_suite("dataset", __doc__, dataset))
