"""Where a study keeps its files, relative to the project's root: one place that knows the layout."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path("results")
PREPARED = Path("data/prepared")
REPORT = Path("reports/index.html")


def prepared(suite: str) -> Path:
    """Directory of a suite's prepared data (Arrow splits, summary, contact sheet)."""
    return PREPARED / suite


def prepared_summary(suite: str) -> Path:
    """File in which `prepare` says what a suite's data is."""
    return prepared(suite) / "summary.json"


def results(suite: str) -> Path:
    """Directory of a suite's tables."""
    return RESULTS / suite


def stage_tables(suite: str, stage: str) -> Path:
    """Directory of the raw tables that the stage `baselines` or `sweep` puts out."""
    return results(suite) / stage
