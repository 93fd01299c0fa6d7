"""DVC stage `toy`: which settings reach the toy problem's global minimum, and after how many iterations."""

from __future__ import annotations

import sys

from pipeline import paths
from pipeline.params import load_params
from pipeline.studies.toy import run_toy
from stages.command import run


def toy() -> str:
    """Run the toy problem; return what came out."""
    directory = paths.RESULTS / "toy"
    tables = run_toy(load_params().studies.toy)
    tables.write(directory)
    arrived = int(tables.iterations["iterations"].notna().sum())
    return f"{arrived} of {len(tables.iterations)} settings reach the minimum from every start -> {directory}"


if __name__ == "__main__":
    sys.exit(run("toy", toy))
