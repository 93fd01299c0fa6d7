"""DVC stage `gradients`: conflicts between tasks and between samples while a suite's chosen cells train."""

from __future__ import annotations

import argparse
import sys

from pipeline.errors import UserError
from pipeline.params import load_params
from pipeline.studies.gradients import run_gradients


def main() -> int:
    """Measure the suite named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stages.gradients", description=__doc__)
    parser.add_argument("suite", help="name of a suite of params.yaml that has been analysed")
    suite = parser.parse_args().suite
    try:
        directory = run_gradients(load_params(), suite)
    except UserError as error:
        print(f"gradients {suite}: {error}", file=sys.stderr)
        return 2
    print(f"gradients {suite}: -> {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
