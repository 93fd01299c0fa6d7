"""Helpers of all stage scripts: read the suite from the command line, and print a user error as one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from mtlsweep.errors import UserError
from mtlsweep.record.outputs import check_outputs


def run(stage: str, work: Callable[[], str | None]) -> int:
    """Run a stage and print its message; return the exit code, 2 for a user error."""
    try:
        message = work()
    except UserError as error:
        print(f"{stage}: {error}", file=sys.stderr)
        return 2
    if message:
        print(f"{stage}: {message}")
    return 0


def run_for_suite(stage: str, about: str | None, work: Callable[[str], str | None]) -> int:
    """Run a stage for the suite on the command line; return the exit code, see `run`."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=about)
    parser.add_argument("suite", nargs="+", help="name of a suite of params.yaml")
    suite = " ".join(parser.parse_args().suite)  # DVC gives a name with a space in parts, and the params refuse it

    def checked_work() -> str | None:
        check_outputs(suite)
        return work(suite)

    return run(f"{stage} {suite}", checked_work)
