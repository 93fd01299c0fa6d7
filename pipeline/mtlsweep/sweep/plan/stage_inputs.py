"""Inputs of a stage, read before it runs: data, cells, ledger, baseline values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mtlsweep import paths
from mtlsweep.analysis.baselines import select_baselines
from mtlsweep.analysis.objectives import Objective
from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.tables.outcomes import read_outcomes
from mtlsweep.record.tables.parquet import read_table
from mtlsweep.record.tables.schema import CURVES
from mtlsweep.suites.prepared.splits import PreparedData, open_prepared
from mtlsweep.suites.tasks.metric_definitions import metric_definitions
from mtlsweep.sweep.plan.fields import in_field
from mtlsweep.sweep.plan.plan import Plan, open_plan
from mtlsweep.sweep.reference import Reference, seed_noise
from mtlsweep.sweep.strategies import STRATEGIES, Known, Strategy


@dataclass(frozen=True)
class StageContext:
    """Everything a stage needs to run.

    Attributes:
        suite: its name.
        stage: `baselines` or `sweep`.
        data: the prepared data.
        plan: cells, seeds and ledger.
        reference: baseline values for Delta_m; empty in the stage `baselines`.
    """

    suite: str
    stage: Stage
    data: PreparedData
    plan: Plan
    reference: Reference

    @property
    def ledger(self) -> Ledger:
        """The suite's ledger."""
        return self.plan.ledger

    def make_strategy(self, known: Known) -> Strategy:
        """Return the stage's strategy; `known` are the trials recorded so far.

        Raises:
            UserError: the strategy cannot use what it is given, such as the ledgers of a prior.
        """
        plan = self.plan
        return in_field(
            f"suites.{self.suite}.{self.stage}.strategy",
            lambda: STRATEGIES.create(plan.strategy, plan.cells, plan.seeds, self.reference, known),
        )


def open_stage(params: Params, suite: str, stage: Stage) -> StageContext:
    """Read data, plan and baselines of a stage.

    Raises:
        UserError: unknown suite, invalid params, data not prepared, or missing baselines.
    """
    data = open_prepared(paths.prepared(suite))
    objectives = tuple(Objective(**definition) for definition in metric_definitions(data.tasks))
    reference = read_reference(suite, objectives) if stage != "baselines" else Reference(objectives, {})
    return StageContext(suite, stage, data, open_plan(params, suite, stage), reference)


def read_reference(suite: str, objectives: tuple[Objective, ...]) -> Reference:
    """Return the single-task values from the tables of the stage `baselines`.

    Raises:
        UserError: the stage has not run, no learning rate of a task finished, or a baseline is
            zero, so that a relative change is not defined.
    """
    directory = paths.stage_tables(suite, "baselines")
    curves = read_table(directory / "curves.parquet", CURVES.names, ["split", "task", "metric"])
    outcomes = read_outcomes(directory / "outcomes.parquet")
    baselines = select_baselines(curves, outcomes, objectives)
    reference = Reference(objectives, baselines.values)
    for split in reference.values:
        reference.compare([], split)
    selected = outcomes[outcomes["cell_key"].isin(baselines.table["cell_key"])]
    return replace(reference, noise=seed_noise(curves, selected, reference))
