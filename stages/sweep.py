"""DVC stage `sweep`: the multi-task trials of a suite."""

from __future__ import annotations

import argparse
import sys

from pipeline.errors import UserError
from pipeline.params import load_params
from pipeline.sweep.runner import run_stage


def main() -> int:
    """Run the multi-task trials that the ledger lacks; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stages.sweep", description=__doc__)
    parser.add_argument("suite", help="name of a suite of params.yaml")
    name = parser.parse_args().suite
    try:
        run_stage(load_params(), name, "sweep")
    except UserError as error:
        print(f"sweep {name}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
