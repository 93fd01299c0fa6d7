"""Helper of all stage scripts of a suite: read the suite from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from mtlsweep.project import dvc_stages


def run_for_suite(stage: str, about: str | None, work: Callable[[str], str | None]) -> int:
    """Run a stage for the suite on the command line; return the exit code, 2 for a user error."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=about)
    parser.add_argument("suite", nargs="+", help="name of a suite of params.yaml")
    suite = " ".join(parser.parse_args().suite)  # DVC gives a name with a space in parts, and the params refuse it
    return dvc_stages.run_for_suite(stage, suite, work)
