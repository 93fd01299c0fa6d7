"""Measure how fast a search comes to what a whole grid attains, with and without a prior from an earlier ledger.

    python benchmarks/race.py --suite multidigits-lenet --directory build/race   # trains the grid, once
    python benchmarks/search.py --grid build/race/multidigits-lenet --prior results/multidigits-lenet/ledger

Nothing is trained: searches choose among the recorded cells that have every seed, and the replay gives their curves. Reported
is the hypervolume of the mean validation Delta_m of each task over a search's complete cells, as a share of that of the whole
grid, against the epochs that the search has trained, as a share of those of the grid. The reference point is the median of the
grid's cells in each task (`--reference worst`: the worst), so a cell counts where it is better than half of them.

Priors are ledgers. Right ones are that of an earlier study (`--prior`), and one of the rates that the grid itself selects, `best`, which
nobody has before a sweep. The flat one has every rate once. The wrong one has the two rates of each method that are worst without
diverging, which costs most. MOASHA of Syne Tune is run where it is installed, with the same rungs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd

from mtlsweep.analysis.objectives import Objective
from mtlsweep.params.choice import Choice
from mtlsweep.params.resources import Budget
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.device_clock import DeviceClock
from mtlsweep.sweep.driver import Driver
from mtlsweep.sweep.executors.replay import ReplayExecutor
from mtlsweep.sweep.plan.stage_inputs import read_reference
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.search.objective_values import Targets
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.search.space import Space
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies import STRATEGIES, Assignment
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome, State
from mtlsweep.trials.trial import Trial

SHARES = (0.05, 0.1, 0.15, 0.25, 0.5)
"""Of the grid's epochs, at which the hypervolume is reported."""

GOAL = 0.95
Steps = list[tuple[int, str]]
"""Epochs trained when a trial ended, and the key of its cell."""


@dataclass(frozen=True)
class Remembering(Reference):
    """Baselines that compute the Delta_m of recorded epochs once: searches meet the same ones again and again."""

    known: dict[object, pd.DataFrame] = field(default_factory=dict)

    def compare(self, epochs: Sequence[Mapping[str, float]], split: str) -> pd.DataFrame:
        """Return what `Reference.compare` does."""
        key = (split, *(tuple(epoch.values()) for epoch in epochs))
        if key not in self.known:
            self.known[key] = super().compare(epochs, split)
        return self.known[key]


@dataclass(frozen=True)
class Grid:
    """Recorded curves of every cell and seed, and what the cells attain."""

    trials: Mapping[str, FinishedTrial]
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    targets: Targets
    worst: bool

    @cached_property
    def epochs(self) -> int:
        """Epochs that the grid trained."""
        return sum(len(one.state.curve) for one in self.trials.values())

    @cached_property
    def values(self) -> dict[str, list[float]]:
        """Mean validation Delta_m of each task, by the key of a cell; cells with a diverged seed have none."""
        found = {}
        for cell in self.cells:
            mean = self.targets.mean([self.trials[Trial(cell, seed).key] for seed in self.seeds])
            if mean is not None:
                found[cell.key] = mean
        return found

    def shares(self, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
        """Return epochs and hypervolume after each complete cell, both as shares of the grid's."""
        values = self.values
        points = np.array(list(values.values()))
        reference = points.max(axis=0) if self.worst else np.median(points, axis=0)
        whole = moocore.hypervolume(points, ref=reference)
        ended: dict[str, int] = defaultdict(int)
        complete: list[list[float]] = []
        epochs, volumes = [0.0], [0.0]
        for spent, key in steps:
            ended[key] += 1
            if ended[key] == len(self.seeds) and key in values:
                complete.append(values[key])
                epochs.append(spent / self.epochs)
                volumes.append(moocore.hypervolume(np.array(complete), ref=reference) / whole)
        return np.array(epochs), np.array(volumes)


class Watched(Driver):
    """The driver, with the epochs trained when each trial ends."""

    def watch(self, executor: ReplayExecutor) -> None:
        """Begin."""
        self._executor, self.steps = executor, Steps()

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        """Note the end of a trial, if it ended and did not pause."""
        super().ended(assignment, state, host, attempts)
        if isinstance(state, Finished):
            self.steps.append((self._executor.epochs, assignment.trial.cell.key))


def _setting(cell: Cell) -> tuple[str, float]:
    return cell.optimizer.name, cell.learning_rate


def read_grid(directory: Path, worst: bool) -> Grid:
    """Return the cells of a recorded grid, without the rates of an optimizer that lack a seed with some weighting."""
    (place,) = directory.glob("results/*/ledger")
    suite = place.parent.name
    definitions = json.loads((directory / f"results/{suite}/baselines/metrics.json").read_text())
    with chdir(directory):
        read = read_reference(suite, tuple(Objective(**one) for one in definitions))
    reference = Remembering(read.objectives, read.values, read.noise)
    by_cell: dict[str, list[FinishedTrial]] = defaultdict(list)
    for one in Ledger(directory / "results", suite).read_all():
        if one.trial.cell.role == "mtl" and one.state.outcome in (Outcome.DONE, Outcome.DIVERGED):
            by_cell[one.trial.cell.key].append(one)
    seeds = tuple(sorted({one.trial.seed for group in by_cell.values() for one in group}))
    complete = {key: group for key, group in by_cell.items() if len(group) == len(seeds)}
    partial = {_setting(group[0].trial.cell) for key, group in by_cell.items() if key not in complete}
    used = [group for group in complete.values() if _setting(group[0].trial.cell) not in partial]
    trials = {one.trial.key: one for group in used for one in group}
    cells = tuple(sorted((group[0].trial.cell for group in used), key=lambda cell: cell.key))
    print(f"{len(cells)} cells of {len({cell.method for cell in cells})} methods, {len(seeds)} seeds", end="")
    print(f"; left out, as some method lacks a seed: {sorted(partial)}" if partial else "")
    return Grid(trials, cells, seeds, Targets(reference), worst)


def search(grid: Grid, seed: int, cells_tried: int, **options: Any) -> Steps:
    """Let strategy `optuna` choose from the grid's curves."""
    choice = STRATEGIES.resolve(Choice(name="optuna", options={"cells_tried": cells_tried, "seed": seed, **options}))
    strategy = STRATEGIES.create(choice, grid.cells, grid.seeds, grid.targets.reference, {})
    with (
        tempfile.TemporaryDirectory() as directory,
        ReplayExecutor(grid.trials) as executor,
        StopRequest(Budget(), DeviceClock()) as stop,
    ):
        study = CellStudy(
            Path(directory) / "study", Space(grid.cells), len(grid.seeds), grid.targets, strategy.sampler, ()
        )
        progress = Progress("replay", strategy.total(), strategy.epochs_left())
        driver = Watched(Ledger(Path(directory), "replay"), strategy, stop, progress, grid.targets.reference, {}, study)
        driver.watch(executor)
        executor.run(driver)
        return driver.steps


def moasha(grid: Grid, seed: int, cells_tried: int) -> Steps:
    """Let Syne Tune's MOASHA stop cells of a random search by their first seed; those that pass get the other seeds."""
    from syne_tune.backend.trial_status import Trial as Suggested
    from syne_tune.config_space import choice
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    np.random.seed(seed)  # it draws from NumPy's own generator
    methods = sorted({cell.method for cell in grid.cells})
    rates = sorted({cell.learning_rate for cell in grid.cells})
    by_setting = {(cell.method, cell.learning_rate): cell for cell in grid.cells}
    names = grid.targets.names
    length = grid.cells[0].training.epochs
    scheduler = MOASHA(
        config_space={"method": choice(methods), "rate": choice(rates)},
        metrics=names,
        do_minimize=True,
        time_attr="epoch",
        max_t=length,
        grace_period=max(1, length // 4),
        reduction_factor=2,
        random_seed=seed,
    )
    steps, spent, seen = Steps(), 0, set[str]()
    while len(seen) < cells_tried:
        suggestion = scheduler.suggest()
        cell = by_setting.get((suggestion.config["method"], suggestion.config["rate"]))
        if cell is None or cell.key in seen:
            continue
        trial = Suggested(len(seen), suggestion.config, datetime.now())
        seen.add(cell.key)
        first, *others = (grid.trials[Trial(cell, one).key] for one in grid.seeds)
        scheduler.on_trial_add(trial)
        metrics = [record.metrics for record in first.state.curve]
        passed = first.state.outcome is Outcome.DONE
        for epoch in range(1, len(metrics) + 1):
            spent += 1
            values = grid.targets.of(metrics[:epoch])
            result = {"epoch": epoch, **dict(zip(names, values or [1e6] * len(names), strict=True))}
            if scheduler.on_trial_result(trial, result) != "CONTINUE" and epoch < length:
                passed = False
                break
        if passed:
            scheduler.on_trial_complete(trial, result)
            steps.append((spent, cell.key))
            for other in others:
                spent += len(other.state.curve)
                steps.append((spent, cell.key))
        else:
            scheduler.on_trial_remove(trial)
    return steps


Rated = tuple[str, str, float]
"""A weighting, an optimizer and a learning rate."""


def write_prior(root: Path, name: str, rates: Iterable[Rated], grid: Grid) -> Path:
    """Write a ledger in which each of these rates survived, in a suite of its own; return its folder."""
    ledger = Ledger(root, name)
    done = [one for one in grid.trials.values() if one.state.outcome is Outcome.DONE]
    for position, (weighting, optimizer, rate) in enumerate(rates):
        names = weighting, optimizer
        model = next(one for one in done if names_of(one.trial.cell) == names)
        trial = Trial(replace(model.trial.cell, suite=f"{name}-{position}", learning_rate=rate), 0)
        ledger.start(trial)
        ledger.finish(replace(model, trial=trial))
    return ledger.directory


def names_of(cell: Cell) -> tuple[str, str]:
    """Return the registered names of a cell's method."""
    return cell.weighting.name, cell.optimizer.name


def ranked_rates(grid: Grid) -> dict[tuple[str, str], list[Rated]]:
    """Return the rates of each method that do not diverge, lowest mean Delta_m first."""
    found: dict[tuple[str, str], list[Rated]] = defaultdict(list)
    values = grid.values
    for cell in sorted((one for one in grid.cells if one.key in values), key=lambda one: np.mean(values[one.key])):
        found[names_of(cell)].append((*names_of(cell), cell.learning_rate))
    return found


def priors(grid: Grid, root: Path, earlier: Path) -> dict[str, Path]:
    """Return the ledger of each prior that is compared."""
    ranked = ranked_rates(grid).values()
    every = [(*names_of(cell), cell.learning_rate) for cell in grid.cells]
    return {
        "earlier": earlier,
        "best": write_prior(root, "best", [rates[0] for rates in ranked], grid),
        "flat": write_prior(root, "flat", every, grid),
        "wrong": write_prior(root, "wrong", [rate for rates in ranked for rate in rates[-2:]], grid),
    }


def searchers(grid: Grid, root: Path, earlier: Path) -> Iterator[tuple[str, Callable[[int, int], Steps]]]:
    """Yield what is compared: a name, and a function of a seed and the number of cells."""

    def with_options(**options: Any) -> Callable[[int, int], Steps]:
        return lambda seed, cells: search(grid, seed, cells, **options)

    for sampler in ("random", "tpe", "gp", "nsga2"):
        yield sampler, with_options(sampler=sampler)
    ledgers = {name: {"ledgers": [str(ledger)]} for name, ledger in priors(grid, root, earlier).items()}
    yield "random + wrong prior", with_options(sampler="random", prior=ledgers["wrong"])
    for name, prior in ledgers.items():
        yield f"tpe + {name} prior", with_options(sampler="tpe", prior=prior)
    asha = {"first": 0.25, "eta": 2}
    yield "random, asha", with_options(sampler="random", asha=asha)
    for name, prior in ledgers.items():
        yield f"tpe + {name} prior, asha", with_options(sampler="tpe", prior=prior, asha=asha)
    yield "MOASHA", lambda seed, cells: moasha(grid, seed, cells)


def row(name: str, curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """Return mean and standard deviation over searches at each share of the compute, and the compute that the goal takes."""
    found: dict[str, Any] = {"search": name}
    for share in SHARES:
        reached = [float(volumes[np.searchsorted(epochs, share, side="right") - 1]) for epochs, volumes in curves]
        found[f"{share:.0%}"] = f"{np.mean(reached):.3f} ± {np.std(reached, ddof=1):.3f}"
    takes = [min((e for e, v in zip(*curve, strict=True) if v >= GOAL), default=np.inf) for curve in curves]
    found[f"compute for {GOAL:.0%}, median"] = float(np.median(takes))
    found["reached at 15%"] = float(np.mean([one <= 0.15 for one in takes]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--grid", type=Path, default=Path("build/race/multidigits-lenet"), help="study of the whole grid"
    )
    parser.add_argument("--prior", type=Path, required=True, help="ledger of an earlier study")
    parser.add_argument("--searches", type=int, default=20, help="seeds of the search")
    parser.add_argument("--cells", type=int, help="that each search tries; half of the grid unless told")
    parser.add_argument("--reference", choices=["median", "worst"], default="median")
    parser.add_argument("--only", nargs="+", help="of the searches, by name")
    arguments = parser.parse_args()
    grid = read_grid(arguments.grid.absolute(), arguments.reference == "worst")
    cells = arguments.cells or len(grid.cells) // 2
    rows = []
    with tempfile.TemporaryDirectory() as root:
        for name, run in searchers(grid, Path(root), arguments.prior):
            if arguments.only and name not in arguments.only:
                continue
            try:
                curves = [grid.shares(run(seed, cells)) for seed in range(arguments.searches)]
            except ImportError as error:
                print(f"{name} is left out: {error}")
                continue
            rows.append(row(name, curves))
            print(f"{name}: {rows[-1]}", flush=True)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
