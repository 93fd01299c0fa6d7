"""DVC stage `prepare`: a suite's raw or bundled data to memory-mapped Arrow splits."""

from __future__ import annotations

import argparse
import sys

from pipeline import paths
from pipeline.data import prepare
from pipeline.errors import UserError
from pipeline.params import load_params


def main() -> int:
    """Prepare the data of the suite named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stages.prepare", description=__doc__)
    parser.add_argument("suite", help="name of a suite of params.yaml")
    name = parser.parse_args().suite
    try:
        prepare(load_params().suite(name).data.dataset, paths.prepared(name))
    except UserError as error:
        print(f"prepare {name}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
