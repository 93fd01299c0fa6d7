"""DVC stage `analyse`: raw curves of one suite to its trial table, results, fronts and summary."""

from __future__ import annotations

import argparse
import sys

from pipeline import paths
from pipeline.analysis.store import IMPORTANCE, analyse_directory
from pipeline.analysis.tables import write_table
from pipeline.errors import UserError
from pipeline.sweep.importance import hyperparameter_importance


def main() -> int:
    """Analyse the suite named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stages.analyse", description=__doc__)
    parser.add_argument("suite", help="name of a suite of params.yaml whose sweep has run")
    suite = parser.parse_args().suite
    try:
        directory = paths.results(suite)
        analysis = analyse_directory(directory)
        write_table(directory / IMPORTANCE, hyperparameter_importance(analysis.trials))
    except UserError as error:
        print(f"analyse {suite}: {error}", file=sys.stderr)
        return 2
    print(
        f"analyse {suite}: {len(analysis.trials)} trials, {len(analysis.results)} methods -> results/{suite}/trials.parquet"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
