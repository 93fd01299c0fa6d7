"""What the report knows about one suite: its analysis, its provenance and its costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.analysis.suite_files import IMPORTANCE, read_analysis
from mtlsweep.errors import UserError
from mtlsweep.record.tables.parquet import read_table
from mtlsweep.report.figures import axes, cost, fronts, learning, methods, overview
from mtlsweep.report.figures.figure import Figure
from mtlsweep.report.sections import Section
from mtlsweep.report.tables import comparisons, paper, pareto, results, trials
from mtlsweep.report.tables.table import Table


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
    def overview(self) -> Figure | None:
        """The figure of the first screen; None where no method has a result."""
        return overview.overview(self.analysis)

    @cached_property
    def figures(self) -> list[Figure]:
        """Every other figure that the suite has data for, in the order of the page."""
        drawn = [
            methods.slope(self.analysis),
            fronts.pairwise_fronts(self.analysis),
            fronts.parallel_coordinates(self.analysis),
            learning.learning_rates(self.analysis),
            axes.tuned_values(self.analysis),
            methods.differences(self.analysis),
            methods.leads(self.analysis),
            fronts.attainment_differences(self.analysis),
            fronts.pairwise_fronts(self.analysis, raw=True),
            fronts.attainment_differences(self.analysis, raw=True),
            learning.learning_curves(self.analysis),
            learning.weights(self.analysis),
            cost.hypervolume_against_compute(self.analysis, self.costs),
            cost.importance(self.importance),
        ]
        return [figure for figure in drawn if figure is not None]

    @cached_property
    def tables(self) -> list[Table]:
        """Every table, in the order of the page."""
        worded = [
            results.results_table(self.analysis),
            comparisons.leads_table(self.analysis),
            paper.paper_table(self.analysis, self.name),
            pareto.counts_table(self.analysis),
            pareto.weightings_table(self.analysis),
            comparisons.comparisons_table(self.analysis),
            comparisons.rankings_table(self.analysis),
            comparisons.methods_table(self.analysis),
            results.baselines_table(self.analysis),
            trials.outcomes_table(self.analysis),
            trials.cuts_table(self.analysis),
            None if self.costs is None else trials.compute_table(self.analysis, self.costs),
        ]
        return [table for table in worded if table is not None]


def read_suite(name: str, directory: Path, sections: tuple[Section, ...] = ()) -> SuiteReport:
    """Read what the stages wrote under `directory`; costs and importance are optional.

    Args:
        name: of the suite.
        directory: `results/<suite>`.
        sections: what studies of the suite found.

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
        sections=sections,
    )
