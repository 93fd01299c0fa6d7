"""Adaptive search: Optuna suggests cells; each cell is trained with all seeds, and Optuna gets the mean.

With `asha` a cell first runs with one seed and pauses at rungs, where only the best share of all cells
continues: by non-dominated rank, then by hypervolume contribution (asynchronous successive
halving, Li et al. 2020, arXiv 1810.05934; for several objectives as in Schmucker et al. 2021,
arXiv 2106.12639). An adaptive search does not compare methods fairly: it spends most of its time on
promising cells. With several trials at once its choices depend on the order in which trials end.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated

import numpy as np
from optuna.samplers import BaseSampler
from pydantic import Field, TypeAdapter

from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.search.objective_values import Kind, Targets
from mtlsweep.sweep.search.ranges import Ranges
from mtlsweep.sweep.search.samplers import Sampler, make_sampler
from mtlsweep.sweep.search.space import Space
from mtlsweep.sweep.strategies.known import (
    Known,
    Trials,
    epochs_seen,
    has_diverged_or_failed,
    has_ended,
    outcome_of,
)
from mtlsweep.sweep.strategies.prior import EarlierLedgers, read_prior
from mtlsweep.sweep.strategies.rungs import Asha, order_by_rank
from mtlsweep.sweep.strategies.strategy import STRATEGIES, Strategy, Suggest
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import Outcome, State, TrialRecord
from mtlsweep.trials.trial import Trial


@STRATEGIES.register("optuna")
class AdaptiveSearch(Strategy):
    """Cells that Optuna suggests from the sweep's methods, learning rates and ranges.

    Args:
        cells: all cells of the sweep's lists.
        seeds: replicates of each cell.
        reference: baseline values for Delta_m.
        known: records of trials so far; their cells count as tried.
        sampler: `nsga2`, `nsga3`, `tpe`, `gp`, `random`, `qmc`, or one of OptunaHub (see `HubSampler`).
        cells_tried: total number of cells to try.
        space: ranges of the learning rate and of options; see `mtlsweep.sweep.search.ranges.Ranges`.
        target: `delta_m` of each task, or the validation `metrics` themselves.
        asha: rungs; None trains every cell to the last epoch.
        prior: earlier ledgers whose surviving learning rates are tried first; see `mtlsweep.sweep.strategies.prior`.
        seed: of the sampler and of the order of the prior.

    Raises:
        UserError: nothing can be learned from the ledgers of the prior.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        seeds: Sequence[int],
        reference: Reference,
        known: Known,
        *,
        sampler: Sampler = "tpe",
        cells_tried: Annotated[int, Field(ge=1)] = 60,
        space: Ranges = {},  # noqa: B006  (never mutated)
        target: Kind = "delta_m",
        asha: Asha | None = None,
        prior: EarlierLedgers | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.target = target
        self._sampler: Sampler = TypeAdapter(Sampler).validate_python(sampler)
        self._seed = seed
        self._space = Space(cells, space)
        self._seeds = tuple(seeds)
        self._trial = Trials()
        self._targets = Targets(reference, target)
        self._known = dict(known)
        self._tried = {one.trial.cell.key: one.trial.cell for _, one in sorted(known.items())}
        self._most = cells_tried
        self._exhausted = False
        self._epochs = cells[0].training.epochs
        self._prior = None if prior is None else read_prior(dict(prior), self._space, seed)
        self._asha = None if asha is None else Asha.model_validate(asha)
        self._rungs = [] if self._asha is None else self._asha.rungs(self._epochs)
        self._running: set[str] = set()
        self._costs: dict[tuple[str, int], list[float] | None] = {}

    @cached_property
    def sampler(self) -> BaseSampler:  # type: ignore[override]  # nobody assigns it
        """The sampler; one of OptunaHub is loaded here, and so by a sweep that runs and not by its plan."""
        return make_sampler(self._sampler, self._seed, len(self._targets.names))

    def next(self, suggest: Suggest) -> Assignment | None:
        """Return an open trial of a tried cell, or the first trial of a newly suggested cell."""
        for assignment in self._open():
            if assignment.trial.key not in self._running:
                return self._start(assignment)
        while not self._exhausted and len(self._tried) < self._most:
            cell = suggest(self._start_of_prior())
            self._exhausted = cell is None
            if cell is not None and cell.key not in self._tried:
                self._tried[cell.key] = cell
                return self._start(Assignment(self._trial(cell, self._seeds[0]), [*self._rungs, self._epochs][0]))
        return None

    def update(self, record: TrialRecord[State]) -> Sequence[Trial]:
        """Store a paused or finished trial; prune cells that wait at a rung when nothing else is left to run."""
        self._running.discard(record.trial.key)
        self._known[record.trial.key] = record
        return [] if self._running else self.cut_now()

    def cut_now(self) -> Sequence[Trial]:
        """Return the trials that still wait at a rung when the search is complete."""
        if self.left():
            return []
        runners = [self._trial(cell, self._seeds[0]) for cell in self._tried.values()]
        return [runner for runner in runners if not has_ended(runner, self._known)]

    def left(self) -> int:
        """Return the number of trials that can continue now plus all trials of cells not suggested yet."""
        return len(self._open()) + self._untried() * len(self._seeds)

    def total(self) -> int:
        """Return the number of started trials plus trials left."""
        started = {one.trial.key for one in self._known.values()}
        return len(started | {assignment.trial.key for assignment in self._open()}) + self._untried() * len(self._seeds)

    def epochs_left(self) -> Mapping[str, int]:
        """Return the epochs of open trials and of cells not suggested yet, divided evenly among methods."""
        left: Counter[str] = Counter()
        for assignment in self._open():
            left[assignment.trial.cell.method] += assignment.until - epochs_seen(assignment.trial, self._known)
        methods = sorted({cell.method for cell in self._space.cells})
        for turn in range(self._untried()):
            left[methods[turn % len(methods)]] += self._epochs_of_a_cell()
        return left

    def _epochs_of_a_cell(self) -> int:
        """Return the mean epochs of a cell: all seeds to the end, or with rungs only the share that passes each rung."""
        if self._asha is None:
            return self._epochs * len(self._seeds)
        share, previous, epochs = 1.0, 0, 0.0
        for rung in [*self._rungs, self._epochs]:
            epochs += share * (rung - previous)
            share, previous = share / self._asha.eta, rung
        return math.ceil(epochs + share * self._asha.eta * self._epochs * (len(self._seeds) - 1))

    def _start(self, assignment: Assignment) -> Assignment:
        self._running.add(assignment.trial.key)
        return assignment

    def _start_of_prior(self) -> Cell | None:
        """Return a cell whose method and rate the next cell takes from the prior, or None."""
        if self._prior is None:
            return None
        stop = [*self._rungs, self._epochs][0]
        runners = [self._trial(cell, self._seeds[0]) for cell in self._tried.values()]
        arrived = [r for r in runners if has_ended(r, self._known) or epochs_seen(r, self._known) >= stop]
        ranked = self._ranked(arrived, stop)
        valid = {runner.key for runner in ranked}
        lost = [runner.cell for runner in arrived if runner.key not in valid]
        return self._prior.next(self._tried.values(), [*([runner.cell] for runner in ranked), lost])

    def _untried(self) -> int:
        return 0 if self._exhausted else max(0, self._most - len(self._tried))

    def _open(self) -> list[Assignment]:
        """Return open assignments of the tried cells, including running trials."""
        if self._asha is None:
            trials = [self._trial(cell, seed) for cell in self._tried.values() for seed in self._seeds]
            return [Assignment(trial, self._epochs) for trial in trials if not has_ended(trial, self._known)]
        return [*self._replicates(), *self._promotions()]

    def _replicates(self) -> list[Assignment]:
        """Return the other seeds of every cell whose first seed is done."""
        wanted = []
        for cell in self._tried.values():
            if outcome_of(self._trial(cell, self._seeds[0]), self._known) is Outcome.DONE:
                others = (self._trial(cell, seed) for seed in self._seeds[1:])
                wanted += [Assignment(trial, self._epochs) for trial in others if not has_ended(trial, self._known)]
        return wanted

    def _promotions(self) -> list[Assignment]:
        """Return trials that pass a rung, highest rung first, then trials that have not reached the first rung."""
        assert self._asha is not None
        runners = [self._trial(cell, self._seeds[0]) for cell in self._tried.values()]
        wanted: list[Assignment] = []
        stops = [*self._rungs, self._epochs]
        for rung, following in reversed(list(itertools.pairwise(stops))):
            arrived = [r for r in runners if has_ended(r, self._known) or epochs_seen(r, self._known) >= rung]
            passing = len(arrived) // self._asha.eta
            if not self._untried() and len(arrived) == len(runners):
                passing = max(1, passing)  # at least one trial passes a rung in a short search
            for runner in self._ranked(arrived, rung)[:passing]:
                if not has_ended(runner, self._known) and epochs_seen(runner, self._known) < following:
                    wanted.append(Assignment(runner, following))
        before = [r for r in runners if not has_ended(r, self._known) and epochs_seen(r, self._known) < stops[0]]
        return [*wanted, *(Assignment(runner, stops[0]) for runner in before)]

    def _ranked(self, runners: Sequence[Trial], rung: int) -> list[Trial]:
        """Return the trials that have values at the rung, best first."""
        valid = [runner for runner in runners if not has_diverged_or_failed(runner, self._known)]
        measured = [(runner, costs) for runner in valid if (costs := self._costs_at(runner, rung)) is not None]
        return [measured[position][0] for position in order_by_rank(np.array([costs for _, costs in measured]))]

    def _costs_at(self, runner: Trial, rung: int) -> list[float] | None:
        if (runner.key, rung) not in self._costs:  # new epochs never change earlier ones
            curve = self._known[runner.key].state.curve[:rung]
            self._costs[runner.key, rung] = self._targets.costs([record.metrics for record in curve])
        return self._costs[runner.key, rung]
