"""Paths of a study's files, relative to the project's root."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path("results")
PREPARED = Path("data/prepared")
REPORT = Path("reports/index.html")
PACKAGE = RESULTS / "package.json"
"""Version and code of the installed package, in a project of one's own."""


def methods_used(study: str) -> Path:
    """File with the content of the methods of a study without a suite: own code, and files."""
    return RESULTS / "methods" / f"{study}.json"


def prepared(suite: str) -> Path:
    """Directory of a suite's prepared data (Arrow splits, summary, contact sheet)."""
    return PREPARED / suite


def prepared_summary(suite: str) -> Path:
    """File with the summary of a suite's prepared data."""
    return prepared(suite) / "summary.json"


def results(suite: str) -> Path:
    """Directory of a suite's tables."""
    return RESULTS / suite


def plan(suite: str) -> Path:
    """Directory of what a suite's stages depend on: the identity of its dataset, and its planned keys."""
    return results(suite) / "plan"


def stage_tables(suite: str, stage: str) -> Path:
    """Directory of the raw tables of the stage `baselines` or `sweep`."""
    return results(suite) / stage
