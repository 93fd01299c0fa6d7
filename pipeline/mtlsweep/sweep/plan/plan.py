"""The plan of a stage: the trials it may train, and what the ledger holds of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.suites.datasets.dataset import DATASETS
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.sweep.plan.cells import Stage, plan_cells
from mtlsweep.sweep.search.space import Space
from mtlsweep.sweep.strategies import STRATEGIES
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import FinishedTrial, PausedTrial, State, TrialRecord
from mtlsweep.trials.trial import Trial

S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class Held:
    """What a ledger holds of a plan, in the order of keys.

    Attributes:
        finished: trials that have ended, those a strategy cut included.
        paused: trials that a strategy stopped for now.
    """

    finished: list[FinishedTrial]
    paused: list[PausedTrial]

    @property
    def known(self) -> dict[str, TrialRecord[State]]:
        """Both by key: ends, and how far paused trials have got."""
        records: list[TrialRecord[State]] = [*self.paused, *self.finished]
        return {record.trial.key: record for record in records}


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

    def _own(self, trials: Iterable[TrialRecord[S]]) -> list[TrialRecord[S]]:
        """Return those that belong to the plan, under the names it gives them."""
        return [
            replace(one, trial=Trial(self.space.relabel(one.trial.cell), one.trial.seed))
            for one in trials
            if self._has(one.trial)
        ]


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
        dataset = DATASETS.create(DATASETS.resolve(section.data.dataset))
        tasks, fingerprint = [task.name for task in dataset.tasks], "not prepared"
    cells = plan_cells(suite, section, stage, tasks, fingerprint)
    try:
        strategy = STRATEGIES.resolve(Choice(name="grid") if baselines else section.sweep.strategy)
        return Plan(Space(cells, strategy.options.get("space", {})), seeds, ledger, strategy)
    except UserError as error:
        raise UserError(f"params.yaml: `suites.{suite}.sweep.strategy`: {error}") from error
