"""What a stage of a suite is about, read before anything runs: data, cells, ledger, reference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import paths
from pipeline.analysis.objectives import Objective
from pipeline.analysis.selection import select_baselines
from pipeline.analysis.tables import CURVES, OUTCOMES, read_table
from pipeline.data import DATASETS, Dataset, PreparedData, open_prepared
from pipeline.errors import UserError
from pipeline.ledger import Ledger
from pipeline.params import Params
from pipeline.registry import Choice
from pipeline.sweep.plan import Stage, plan_cells
from pipeline.sweep.reference import Reference, seed_noise
from pipeline.sweep.space import Space
from pipeline.sweep.strategies import STRATEGIES, Known, Strategy
from pipeline.sweep.tables import metric_definitions
from pipeline.trials import Cell, FinishedTrial, Trial


@dataclass(frozen=True)
class Held:
    """What a ledger holds of a plan, in the order of keys.

    Attributes:
        finished: trials that have ended, those a strategy cut included.
        paused: trials that a strategy stopped for now.
    """

    finished: list[FinishedTrial]
    paused: list[FinishedTrial]

    @property
    def known(self) -> dict[str, FinishedTrial]:
        """Both by key: ends, and how far paused trials have got."""
        return {one.trial.key: one for one in [*self.paused, *self.finished]}


@dataclass(frozen=True)
class Plan:
    """The cells a stage may train, their seeds, the ledger that holds some of them already, and who chooses among the rest."""

    space: Space
    seeds: tuple[int, ...]
    ledger: Ledger
    strategy: Choice

    @property
    def chosen_as_it_goes(self) -> bool:
        """Whether the strategy searches, so that which cells are trained is not known before."""
        return "cells_tried" in self.strategy.options

    def count_planned(self, finished: int) -> int:
        """Return how many trials the plan has when nothing is cut; `finished` of them are in the ledger."""
        if self.chosen_as_it_goes:
            return max(self.strategy.options["cells_tried"] * len(self.seeds), finished)
        return len(self.trials)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The listed cells."""
        return self.space.cells

    @property
    def trials(self) -> list[Trial]:
        """Every trial of the full factorial of the listed cells."""
        return [Trial(cell, seed) for cell in self.cells for seed in self.seeds]

    def read(self) -> Held:
        """Return what the ledger holds of the plan."""
        return Held(self._own(self.ledger.read_all()), self._own(self.ledger.read_paused()))

    def count_half_finished(self) -> int:
        """Return how many trials of the plan have a resume point and no result."""
        return sum(self._has(trial) for trial in self.ledger.read_half_finished())

    def _has(self, trial: Trial) -> bool:
        return trial.seed in self.seeds and trial.cell in self.space

    def _own(self, trials: Iterable[FinishedTrial]) -> list[FinishedTrial]:
        """Return those that belong to the plan, under the names it gives them."""
        return [
            replace(one, trial=Trial(self.space.relabel(one.trial.cell), one.trial.seed))
            for one in trials
            if self._has(one.trial)
        ]


@dataclass(frozen=True)
class StageContext:
    """All that running a stage needs.

    Attributes:
        suite: its name.
        stage: `baselines` or `sweep`.
        data: the prepared data.
        plan: cells, seeds and ledger.
        reference: what Delta_m compares with; without values for baselines.
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

    @property
    def progress_path(self) -> Path:
        """File in which the running stage says how far it is."""
        return progress_path(self.ledger, self.stage)

    def make_strategy(self, known: Known) -> Strategy:
        """Return the stage's strategy, which knows `known` already."""
        made: Strategy = STRATEGIES.create(self.plan.strategy, self.plan.cells, self.plan.seeds, self.reference, known)
        return made


def open_stage(params: Params, suite: str, stage: Stage) -> StageContext:
    """Read data, plan and baselines of a stage.

    Raises:
        UserError: unknown suite, wrong params, data not prepared, or baselines missing.
    """
    data = open_prepared(paths.prepared(suite))
    objectives = tuple(Objective(**definition) for definition in metric_definitions(data.tasks))
    reference = read_reference(suite, objectives) if stage == "sweep" else Reference(objectives, {})
    return StageContext(suite, stage, data, open_plan(params, suite, stage), reference)


def open_plan(params: Params, suite: str, stage: Stage) -> Plan:
    """Return the plan of a stage; needs neither baselines nor prepared data.

    Without the latter the plan is that of the raw data's tasks, and no trial of it can be finished.

    Raises:
        UserError: unknown suite, wrong params, or raw data that is missing.
    """
    section = params.suite(suite)
    ledger = Ledger(params.resources.ledger_root, suite)
    baselines = stage == "baselines"
    seeds = section.baselines.seeds if baselines else section.sweep.seeds
    if paths.prepared(suite).exists():
        data = open_prepared(paths.prepared(suite))
        tasks, fingerprint = [task.name for task in data.tasks], data.fingerprint
    else:
        dataset: Dataset = DATASETS.create(DATASETS.resolve(section.data.dataset))
        tasks, fingerprint = [task.name for task in dataset.tasks], "not prepared"
    cells = plan_cells(suite, section, stage, tasks, fingerprint)
    try:
        strategy = STRATEGIES.resolve(Choice(name="grid") if baselines else section.sweep.strategy)
        return Plan(Space(cells, strategy.options.get("space", {})), seeds, ledger, strategy)
    except UserError as error:
        raise UserError(f"params.yaml: `suites.{suite}.sweep.strategy`: {error}") from error


def read_reference(suite: str, objectives: tuple[Objective, ...]) -> Reference:
    """Return the single-task values that the tables of the stage `baselines` give.

    Raises:
        UserError: the stage has not run, none of a task's learning rates finished, or a baseline is
            zero, so that no change relative to it exists.
    """
    directory = paths.stage_tables(suite, "baselines")
    curves = read_table(directory / "curves.parquet", CURVES.names, ["split", "task", "metric"])
    outcomes = read_table(directory / "outcomes.parquet", OUTCOMES.names)
    baselines = select_baselines(curves, outcomes, objectives)
    reference = Reference(objectives, baselines.values)
    for split in reference.values:
        reference.compare([], split)
    selected = outcomes[outcomes["cell_key"].isin(baselines.table["cell_key"])]
    replicates = {str(task): list(keys) for task, keys in selected.groupby("task")["trial_key"]}
    return replace(reference, noise=seed_noise(curves, replicates, reference))


def progress_path(ledger: Ledger, stage: Stage) -> Path:
    """File in which a running stage says how far it is."""
    return ledger.directory / f"progress-{stage}.json"
