"""The plan of a stage: the trials it may train, and their records in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage, Suite
from mtlsweep.record.ledger import Ledger
from mtlsweep.suites.datasets.dataset import check_tasks, create_dataset, stored_inputs
from mtlsweep.suites.inputs import IMAGE, check_taken
from mtlsweep.suites.networks.multitask import taken_inputs
from mtlsweep.suites.prepared.batches import has_lone_row
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.metric_definitions import metric_definitions
from mtlsweep.sweep.plan.cells import add_content, plan_cells
from mtlsweep.sweep.search.space import Space
from mtlsweep.sweep.strategies import STRATEGIES
from mtlsweep.sweep.strategies.prior import Prior, read_prior
from mtlsweep.sweep.strategies.strategy import is_adaptive
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import FinishedTrial, PausedTrial, State, TrialRecord
from mtlsweep.trials.trial import Trial

S = TypeVar("S", bound=State)


@dataclass(frozen=True)
class RecordedTrials:
    """Records in the ledger that belong to a plan, ordered by key; a curve is read when somebody looks at it.

    Attributes:
        finished: finished trials, including pruned ones.
        paused: trials that a strategy paused.
        others: finished trials of the same ledger that do not belong to the plan.
    """

    finished: list[FinishedTrial]
    paused: list[PausedTrial]
    others: list[FinishedTrial]

    @property
    def known(self) -> dict[str, TrialRecord[State]]:
        """All records by trial key."""
        records: list[TrialRecord[State]] = [*self.paused, *self.finished]
        return {record.trial.key: record for record in records}


@dataclass(frozen=True)
class Plan:
    """Cells and seeds of a stage, the ledger with its records, and the strategy that chooses what to train.

    Attributes:
        metrics: what is measured, see `metric_definitions`.
    """

    space: Space
    seeds: tuple[int, ...]
    ledger: Ledger
    strategy: Choice
    metrics: tuple[dict[str, Any], ...]

    @property
    def is_adaptive(self) -> bool:
        """Whether the strategy chooses cells during the sweep, so that they are not known in advance."""
        return is_adaptive(self.strategy)

    def count_planned(self, finished: int) -> int:
        """Return how many trials the plan has when none is pruned; `finished` of them are in the ledger."""
        if self.is_adaptive:
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

    def read_prior(self) -> Prior | None:
        """Return what an adaptive search learns from earlier ledgers; None without a prior.

        Raises:
            UserError: nothing can be learned from them.
        """
        options = self.strategy.options
        return read_prior(options["prior"], self.space, options["seed"]) if options.get("prior") else None

    def read(self) -> RecordedTrials:
        """Return the records of the plan's trials, and the other trials of the ledger."""
        recorded = list(self.ledger.read_all())
        finished = self.select(recorded)
        own = {one.trial.key for one in finished}
        others = [one for one in recorded if one.trial.key not in own]
        return RecordedTrials(finished, self.select(self.ledger.read_paused()), others)

    def count_half_finished(self) -> int:
        """Return how many trials of the plan have a resume point and no result."""
        return sum(self._contains(trial) for trial in self.ledger.read_half_finished())

    def select(self, trials: Iterable[TrialRecord[S]]) -> list[TrialRecord[S]]:
        """Return the records that belong to the plan, with the plan's labels."""
        return [
            replace(one, trial=Trial(self.space.relabel(one.trial.cell), one.trial.seed))
            for one in trials
            if self._contains(one.trial)
        ]

    def _contains(self, trial: Trial) -> bool:
        return trial.seed in self.seeds and trial.cell in self.space


def open_plan(params: Params, suite: str, stage: Stage) -> Plan:
    """Return the plan of a stage; needs neither baselines nor prepared data.

    Without prepared data the plan uses the tasks of the raw data, and none of its trials is finished.

    Raises:
        UserError: unknown suite, invalid params, refused names of tasks or metrics, or missing raw data.
    """
    section = params.suite(suite)
    ledger = Ledger(params.resources.ledger_root, suite)
    baselines = stage == "baselines"
    seeds = section.baselines.seeds if baselines else section.sweep.seeds
    tasks, fingerprint, rows, incomplete = _what_to_learn(suite, section)
    cells = plan_cells(suite, section, stage, [task.name for task in tasks], fingerprint)
    cells = tuple(
        replace(
            cell,
            merges_last_batch=has_lone_row(rows, cell.training.batch_size),
            incomplete=not incomplete.isdisjoint(cell.tasks),
        )
        for cell in cells
    )
    cells = add_content(suite, cells, tasks)
    chosen = section.baselines.strategy if baselines else section.sweep.strategy
    try:
        strategy = STRATEGIES.resolve(chosen)
        if baselines and is_adaptive(strategy):
            raise UserError(
                f"`{strategy.name}` chooses cells by Delta_m, and baselines have no Delta_m: use grid or race."
            )
        plan = Plan(
            Space(cells, strategy.options.get("space", {})), seeds, ledger, strategy, tuple(metric_definitions(tasks))
        )
    except UserError as error:
        raise UserError(f"params.yaml: `suites.{suite}.{stage}.strategy`: {error}") from error
    return plan


def _what_to_learn(suite: str, section: Suite) -> tuple[Sequence[Task], str, int, frozenset[str]]:
    """Return what decides a suite's keys: its tasks, its data's fingerprint, training rows, tasks with missing labels.

    Without prepared data there are no rows, and no label is known to be missing.
    """
    incomplete: frozenset[str] = frozenset()
    if paths.prepared(suite).exists():
        data = open_prepared(paths.prepared(suite))
        tasks, fingerprint, rows = data.tasks, data.fingerprint, len(data.splits["train"])
        incomplete = data.incomplete
        inputs: Sequence[str] = tuple(data.inputs)
    else:
        dataset = create_dataset(section.data.dataset)
        tasks, fingerprint, rows = tuple(dataset.tasks), "not prepared", 0
        inputs = stored_inputs(dataset)
    try:
        check_tasks(tasks, inputs)
    except UserError as error:
        raise UserError(f"params.yaml: `suites.{suite}.data.dataset`: {error}") from error
    _check_inputs(suite, section, inputs)
    return tasks, fingerprint, rows, incomplete


def _check_inputs(suite: str, section: Suite, inputs: Sequence[str]) -> None:
    """Check that network and augmentation find their inputs in the data."""
    try:
        check_taken(section.network.name, taken_inputs(section.network.name), inputs)
    except UserError as error:
        raise UserError(f"params.yaml: `suites.{suite}.network`: {error}") from error
    if section.training.augmentation != "none" and IMAGE not in inputs:
        raise UserError(
            f"params.yaml: `suites.{suite}.training.augmentation` is `{section.training.augmentation}`, but the data has "
            f"no input `{IMAGE}`, and augmentation needs images: set it to `none`."
        )
