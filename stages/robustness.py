"""DVC stage `robustness`: how a suite's selected cells and its baselines bear corrupted images."""

from __future__ import annotations

import argparse
import sys

from pipeline.errors import UserError
from pipeline.params import load_params
from pipeline.studies.robustness import run_robustness


def main() -> int:
    """Measure the suite named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stages.robustness", description=__doc__)
    parser.add_argument("suite", help="name of a suite of params.yaml that has been analysed")
    suite = parser.parse_args().suite
    try:
        directory = run_robustness(load_params(), suite)
    except UserError as error:
        print(f"robustness {suite}: {error}", file=sys.stderr)
        return 2
    print(f"robustness {suite}: -> {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
