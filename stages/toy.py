"""DVC stage `toy`: which settings reach the toy problem's global minimum, and after how many iterations."""

from __future__ import annotations

import sys

from pipeline import paths
from pipeline.errors import UserError
from pipeline.params import load_params
from pipeline.studies.toy import run_toy


def main() -> int:
    """Run the toy problem; return the exit code."""
    directory = paths.RESULTS / "toy"
    try:
        tables = run_toy(load_params().studies.toy)
    except UserError as error:
        print(f"toy: {error}", file=sys.stderr)
        return 2
    tables.write(directory)
    arrived = int(tables.iterations["iterations"].notna().sum())
    print(f"toy: {arrived} of {len(tables.iterations)} settings reach the minimum from every start -> {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
