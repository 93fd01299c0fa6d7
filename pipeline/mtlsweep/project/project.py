"""`Project`: what `dvc repro` does, from a notebook or a script."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, Self

import altair as alt
import pandas as pd

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.params import PARAMS_FILE, Params, load_params, parse_params
from mtlsweep.params.suite import STAGES
from mtlsweep.project import steps
from mtlsweep.project.loaded_code import check_loaded_code
from mtlsweep.project.objects import named
from mtlsweep.record.outputs import check_outputs
from mtlsweep.report.suite import SuiteReport
from mtlsweep.studies.study import run_study
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.suites.prepared.preparation import is_prepared, prepare
from mtlsweep.sweep.control.plan_overview import read_plan
from mtlsweep.sweep.control.run_one import run_alone
from mtlsweep.sweep.stage import run_stage
from mtlsweep.trials.curve import EpochRecord


class Project:
    """The suites of a `params.yaml`, or of the same content in Python.

    It runs the code that `dvc repro` runs, on the same ledger: the same keys, nothing trained twice, and tables with the same
    bytes. Every method that takes a suite takes the only active one if none is named.

    Args:
        params: path of a params.yaml, or its content as a mapping; classes and functions may stand for their names.
        directory: the project's root, where data, ledger and tables are. It is added to the import path.

    Raises:
        UserError: a field is wrong; the message names it.
    """

    def __init__(self, params: Path | str | Mapping[str, Any] = PARAMS_FILE, directory: Path | str = ".") -> None:
        self.directory = Path(directory).resolve()
        if str(self.directory) not in sys.path:
            sys.path.insert(0, str(self.directory))
        with chdir(self.directory):
            self.params: Params = (
                parse_params(named(params), source="params")
                if isinstance(params, Mapping)
                else load_params(Path(params))
            )

    def __repr__(self) -> str:
        return f"Project(directory={str(self.directory)!r}, active={list(self.params.active)})"

    def plan(self, suite: str | None = None) -> pd.DataFrame:
        """Return what a run would train: stage, method, planned and finished trials.

        `planned` is missing where the strategy decides on the way.
        """
        with self._ready():
            name = self._prepared(suite)
            overview = read_plan(training_stages(self.params, name), name)["stages"]
        rows = [
            {"stage": stage, "method": method, **count}
            for stage, content in overview.items()
            for method, count in content["methods"].items()
        ]
        return pd.DataFrame(rows, columns=["stage", "method", "planned", "finished"]).astype({"planned": "Int64"})

    def run(self, suite: str | None = None) -> Self:
        """Prepare the data, train what the ledger lacks, and analyse; return the project.

        Raises:
            UserError: invalid input, an outage, too many failures, or an early stop; what was trained is kept.
        """
        with self._ready():
            name = self._prepared(suite)
            for stage in STAGES:
                run_stage(self.params, name, stage)
            steps.analyse(self.params, name)
        return self

    def study(self, study: str, suite: str | None = None) -> str:
        """Run a study beside the sweep, such as `gradients` of a suite or `toy`; return a short summary."""
        with self._ready():
            return run_study(study, self.params, suite)

    def trials(self, suite: str | None = None) -> pd.DataFrame:
        """Return every trial at its chosen epoch; the columns are those of trials.parquet (docs/analysis.md)."""
        return self._analysed(suite).analysis.trials

    def results(self, suite: str | None = None) -> pd.DataFrame:
        """Return a row per method at its selected learning rate: test metrics and Delta_m with intervals, best first."""
        results = self._analysed(suite).analysis.results
        return results.sort_values("test_delta_m_mean", ignore_index=True)

    def front(self, suite: str | None = None) -> pd.DataFrame:
        """Return the Pareto-optimal runs among those of the selected cells, as rows of `trials`."""
        analysis = self._analysed(suite).analysis
        optimal = analysis.members.loc[analysis.members["full"], "trial_key"]
        return analysis.trials[analysis.trials["trial_key"].isin(optimal)].reset_index(drop=True)

    def charts(self, suite: str | None = None) -> dict[str, alt.TopLevelMixin]:
        """Return the report's figures as Altair charts, by name."""
        charts: dict[str, alt.TopLevelMixin] = {}
        for figure in self._analysed(suite).figures:
            panels: list[Any] = list(figure.panels)  # Altair's own types are narrower than what it takes
            charts[figure.name] = alt.hconcat(*panels).properties(title=figure.name)
        return charts

    def report(self) -> Path:
        """Write the page with figures and tables of all active suites, also to MLflow; return the page's path."""
        with self._ready():
            page, problems = steps.report(self.params)
            for problem in problems:
                print(problem, file=sys.stderr)
            return page.resolve()

    def train(self, key: str) -> pd.DataFrame:
        """Train one trial in this process, for a debugger, without recording it; return a row per epoch.

        Args:
            key: trial key, or a prefix of it.

        Raises:
            UserError: no trial or more than one has this key.
            Exception: whatever the trial raises.
        """
        records: list[EpochRecord] = []
        with self._ready():
            run_alone(self.params, key, records.append, training_stages)
        return pd.DataFrame([{"epoch": one.epoch, "seconds": one.seconds, **one.metrics} for one in records])

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """Be in the project's directory, with the code that its files hold."""
        with chdir(self.directory):
            check_loaded_code(self.directory)
            yield

    def _name(self, suite: str | None) -> str:
        if suite is not None:
            self.params.suite(suite)
            return suite
        if len(self.params.active) > 1:
            raise UserError(
                f"there are {len(self.params.active)} active suites: name one of {', '.join(self.params.active)}."
            )
        return self.params.active[0]

    def _prepared(self, suite: str | None) -> str:
        """Return the suite's name, after its data has been prepared where it is not up to date."""
        name = self._name(suite)
        check_outputs(name)
        dataset, directory = self.params.suite(name).data.dataset, paths.prepared(name)
        if not is_prepared(dataset, directory):
            prepare(dataset, directory)
        return name

    def _analysed(self, suite: str | None) -> SuiteReport:
        with chdir(self.directory):
            return steps.read_analysed(self._name(suite))
