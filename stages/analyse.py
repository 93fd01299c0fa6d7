"""DVC stage `analyse`: compute trial table, results, fronts and summary of a suite from its raw curves."""

from __future__ import annotations

import sys

from mtlsweep import paths
from mtlsweep.analysis.suite_files import analyse_directory
from mtlsweep.params.params import load_params
from stages.command import run_for_suite


def analyse(suite: str) -> str:
    """Analyse a suite after its sweep; return a short summary."""
    directory = paths.results(suite)
    settings = load_params().suite(suite).analysis
    analysis = analyse_directory(directory, all_metrics=settings.front_metrics == "all")
    return f"{len(analysis.trials)} trials, {len(analysis.results)} methods -> {directory / 'trials.parquet'}"


if __name__ == "__main__":
    sys.exit(run_for_suite("analyse", __doc__, analyse))
