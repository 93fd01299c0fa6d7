"""What the scripts of all stages share: the suite from the command line, and a user's mistake as one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from mtlsweep.errors import UserError


def run(stage: str, work: Callable[[], str | None]) -> int:
    """Do the work of a stage and print what it has to say; return the exit code, 2 for a mistake of the user's."""
    try:
        said = work()
    except UserError as error:
        print(f"{stage}: {error}", file=sys.stderr)
        return 2
    if said:
        print(f"{stage}: {said}")
    return 0


def run_for_suite(stage: str, about: str | None, work: Callable[[str], str | None]) -> int:
    """Do the work of a stage for the suite named on the command line; return the exit code, see `run`."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=about)
    parser.add_argument("suite", help="name of a suite of params.yaml")
    suite = parser.parse_args().suite
    return run(f"{stage} {suite}", lambda: work(suite))
