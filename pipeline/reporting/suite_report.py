"""What the report knows about one suite: its analysis, where it came from, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.analysis.store import IMPORTANCE, read_analysis
from pipeline.analysis.suite import SuiteAnalysis
from pipeline.analysis.tables import read_table
from pipeline.errors import UserError
from pipeline.reporting import figures, front_figures, tables
from pipeline.reporting.figure import Figure
from pipeline.reporting.sections import Section
from pipeline.reporting.studies import suite_sections
from pipeline.reporting.table import Table


@dataclass(frozen=True)
class SuiteReport:
    """One suite, ready to be shown.

    Attributes:
        name: the suite's name in `params.yaml`, or that of the table it came from.
        analysis: every table.
        provenance: what was recorded about its origin: git sha, data fingerprint, versions, times.
        costs: seconds and start of each trial, where they were recorded.
        importance: hyperparameter, target, importance, where the Optuna study was evaluated.
        sections: what other studies of the suite found.
    """

    name: str
    analysis: SuiteAnalysis
    provenance: Mapping[str, Any]
    costs: pd.DataFrame | None = None
    importance: pd.DataFrame | None = None
    sections: tuple[Section, ...] = field(default=())

    @cached_property
    def figures(self) -> list[Figure]:
        """Every figure that the suite has data for, in the order of the page."""
        drawn = [
            figures.slope(self.analysis),
            front_figures.pairwise_fronts(self.analysis),
            front_figures.parallel_coordinates(self.analysis),
            figures.learning_rates(self.analysis),
            figures.differences(self.analysis),
            front_figures.attainment_differences(self.analysis),
            figures.learning_curves(self.analysis),
            figures.weights(self.analysis),
            figures.hypervolume_against_compute(self.analysis, self.costs),
            figures.importance(self.importance),
        ]
        return [figure for figure in drawn if figure is not None]

    @cached_property
    def tables(self) -> list[Table]:
        """Every table, in the order of the page."""
        worded = [
            tables.results_table(self.analysis),
            tables.paper_table(self.analysis, self.name),
            tables.counts_table(self.analysis),
            tables.weightings_table(self.analysis),
            tables.comparisons_table(self.analysis),
            tables.rankings_table(self.analysis),
            tables.methods_table(self.analysis),
            tables.baselines_table(self.analysis),
            tables.outcomes_table(self.analysis),
            tables.cuts_table(self.analysis),
            None if self.costs is None else tables.compute_table(self.analysis, self.costs),
        ]
        return [table for table in worded if table is not None]


def read_suite(name: str, directory: Path) -> SuiteReport:
    """Read what the stages left under `directory`; costs and importance are optional.

    Raises:
        UserError: a table or the provenance is missing or damaged.
    """
    path = directory / "sweep" / "provenance.json"
    try:
        provenance = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except ValueError as error:
        raise UserError(f"`{path}` is damaged ({error}); delete it and run `dvc repro`.") from error
    costs, importance = directory / "costs.parquet", directory / IMPORTANCE
    return SuiteReport(
        name=name,
        analysis=read_analysis(directory),
        provenance=provenance,
        costs=read_table(costs, ["trial_key", "seconds", "started"]) if costs.exists() else None,
        importance=read_table(importance) if importance.exists() else None,
        sections=suite_sections(directory),
    )
