"""What a race of learning rates saves and what it may miss, replayed on the curves of a whole grid.

    python benchmarks/race.py --suite multidigits-lenet --directory build/race

Trains the full grid of ten learning rates and three seeds once (four weightings x three optimizers;
a second start continues where the first stopped), then lets the race choose from the same curves,
with each seed in turn running it, and compares its choices with the grid's. Nothing is trained for the
replay, so any schedule can be tried in seconds: `--race '{"rungs": {"0.125": 4, "1.0": 1}}'`. Axes of the suite are kept, for
the baselines at the same rates: `--suite multimnist-lenet-small --settings 18 --rates 0.01 0.0025 0.00075`.

Both select as the analysis does. A race loses, in points, the difference between the two selected cells' validation
Delta_m. It agrees with the grid when it selects the grid's learning rate, or loses at most one seed deviation of the
grid's cell, which says little where that deviation is large.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pandas as pd
import yaml

from mtlsweep import paths
from mtlsweep.analysis.selection import select_learning_rates
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import parse_params
from mtlsweep.params.resources import Budget
from mtlsweep.record.ledger import Ledger
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.sweep.device_clock import DeviceClock
from mtlsweep.sweep.driver import Driver
from mtlsweep.sweep.executors.replay import ReplayExecutor
from mtlsweep.sweep.plan.stage_inputs import StageContext, open_stage
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.stage import run_stage
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies import STRATEGIES
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.metric_names import DELTA_M
from mtlsweep.trials.state import FinishedTrial, Outcome
from mtlsweep.trials.trial import Trial

PROJECT = Path(__file__).parents[1]
RATES = [0.5, 0.1, 0.05, 0.01, 0.005, 0.001, 0.0005, 0.0001, 0.00005, 0.00001]
WEIGHTINGS = ["ew", "uw_o", "pcgrad", "imtl_g"]
OPTIMIZERS = ["adam", "sgd", "signsgd"]
SEEDS = [0, 1, 2]

Curves = Mapping[str, FinishedTrial]


@dataclass(frozen=True)
class Measured:
    """One trial at its epoch of lowest validation Delta_m, in percent."""

    validation: float
    test: float
    test_metrics: tuple[float, ...]


def params_of(
    suite: str,
    weightings: Sequence[str],
    optimizers: Sequence[str],
    rates: Sequence[float],
    settings: int | None,
    epochs: int | None,
) -> dict[str, Any]:
    raw = yaml.safe_load((PROJECT / "params.yaml").read_text())
    section = raw["suites"][suite]
    axes = section["sweep"].get("axes", {})
    if axes:
        section["baselines"]["learning_rates"] = list(rates)
    section["baselines"]["seeds"] = SEEDS
    section["sweep"] = {
        "strategy": "grid",
        "weightings": list(weightings),
        "optimizers": list(optimizers),
        "learning_rates": list(rates),
        "axes": axes,
        "settings": settings,
        "seeds": SEEDS,
    }
    if epochs is not None:
        section["training"]["epochs"] = epochs
    return {**raw, "active": [suite], "suites": {suite: section}}


def train_grid(raw: dict[str, Any], suite: str) -> StageContext:
    Path("params.yaml").write_text(yaml.safe_dump(raw))
    params = parse_params(raw)
    if not paths.prepared(suite).exists():
        prepare(params.suite(suite).data.dataset, paths.prepared(suite))
    for stage in ("baselines", "sweep"):
        run_stage(params, suite, stage)  # type: ignore[arg-type]
    return open_stage(params, suite, "sweep")


def race(context: StageContext, options: Mapping[str, object], first: int, grid: Curves) -> tuple[Curves, int, float]:
    """Let the race choose from the grid's curves, `first` running it; return what it saw, its epochs and its seconds."""
    seeds = [first, *(seed for seed in SEEDS if seed != first)]
    choice = STRATEGIES.resolve(Choice(name="race", options=options))
    strategy = STRATEGIES.create(choice, context.plan.cells, seeds, context.reference, {})
    with (
        tempfile.TemporaryDirectory() as directory,
        ReplayExecutor(grid) as executor,
        StopRequest(Budget(), DeviceClock()) as stop,
    ):
        ledger = Ledger(Path(directory), context.suite)
        progress = Progress("replay", strategy.total(), strategy.epochs_left())
        executor.run(Driver(ledger, strategy, stop, progress, context.reference, {}))
        return {one.trial.key: one for one in ledger.read_all()}, executor.epochs, executor.seconds


def measure(trial: FinishedTrial, reference: Reference) -> Measured | None:
    epochs = [record.metrics for record in trial.state.curve]
    best = reference.best_epoch(epochs) if trial.state.outcome is Outcome.DONE else None
    if best is None:
        return None
    chosen = epochs[int(str(best.name))]
    metrics = tuple(
        (-1 if o.higher_is_better else 1) * chosen[str(o.of("test"))] for o in reference.objectives if o.in_delta_m
    )
    return Measured(float(best[DELTA_M]), float(reference.compare([chosen], "test")[DELTA_M].iloc[0]), metrics)


def select(known: Curves, measured: Mapping[str, Measured | None]) -> dict[str, Cell]:
    """Return the cell that the analysis selects for each method, given these trials."""
    figures = {key: measured[key] for key in known}
    table = pd.DataFrame(
        {
            "weighting": [one.trial.cell.weighting_label for one in known.values()],
            "optimizer": [one.trial.cell.optimizer_label for one in known.values()],
            "cell_key": [one.trial.cell.key for one in known.values()],
            "lr": [one.trial.cell.learning_rate for one in known.values()],
            "seed": [one.trial.seed for one in known.values()],
            "outcome": [one.state.outcome.value for one in known.values()],
            "val_delta_m": [np.nan if one is None else one.validation for one in figures.values()],
        }
    )
    cells = {one.trial.cell.key: one.trial.cell for one in known.values()}
    return {cells[key].method: cells[key] for key in select_learning_rates(table)["cell_key"]}


def front(selected: Mapping[str, Cell], measured: Mapping[str, Measured | None]) -> set[str]:
    """Return the keys of the non-dominated trials among the selected cells' replicates."""
    keys = [Trial(cell, seed).key for cell in selected.values() for seed in SEEDS]
    points = np.array([measured[key].test_metrics for key in keys])  # type: ignore[union-attr]
    return {key for key, kept in zip(keys, moocore.is_nondominated(points), strict=True) if kept}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and bootstrap 95 % interval of the mean."""
    sample = np.asarray(values)
    means = np.random.default_rng(0).choice(sample, (10_000, len(sample))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(sample.mean()), float(low), float(high)


def compare(context: StageContext, options: Mapping[str, object], grid: Curves) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row per race and method, and one row per race."""
    measured = {key: measure(one, context.reference) for key, one in grid.items()}
    of_grid = select(grid, measured)
    done = {key: one for key, one in measured.items() if one is not None}

    def figures(cell: Cell) -> list[Measured]:
        """Return what was measured of a cell that `select` chose: one entry per seed."""
        return [done[Trial(cell, seed).key] for seed in SEEDS]

    trained_epochs = sum(len(one.state.curve) for one in grid.values())
    planned_epochs = sum(one.trial.cell.training.epochs for one in grid.values())
    all_seconds = sum(record.seconds for one in grid.values() for record in one.state.curve)
    rows, races = [], []
    for first in SEEDS:
        known, epochs, seconds = race(context, options, first, grid)
        of_race = select(known, measured)
        for method, cell in of_grid.items():
            ours = of_race.get(method)
            validation = [one.validation for one in figures(cell)]
            lost = np.inf if ours is None else np.mean([one.validation for one in figures(ours)]) - np.mean(validation)
            test = (
                np.nan
                if ours is None
                else np.mean([one.test for one in figures(ours)]) - np.mean([one.test for one in figures(cell)])
            )
            rows.append(
                {
                    "first seed": first,
                    "weighting": cell.weighting_label,
                    "optimizer": cell.optimizer_label,
                    "grid lr": cell.learning_rate,
                    "race lr": None if ours is None else ours.learning_rate,
                    "grid axes": " ".join(cell.tuned.values()),
                    "race axes": None if ours is None else " ".join(ours.tuned.values()),
                    "lost": lost,
                    "seed deviation": np.std(validation, ddof=1),
                    "test difference": test,
                    "same": ours == cell,
                    "agrees": ours == cell or lost <= np.std(validation, ddof=1),
                }
            )
        fronts = front(of_grid, measured), front(of_race, measured)
        races.append(
            {
                "first seed": first,
                "share of planned epochs": epochs / planned_epochs,
                "share of trained epochs": epochs
                / trained_epochs,  # of a trial that diverges the grid trains less than planned, too
                "share of seconds": seconds / all_seconds,
                "overlap of fronts": len(fronts[0] & fronts[1]) / len(fronts[0] | fronts[1]),
            }
        )
    return pd.DataFrame(rows), pd.DataFrame(races)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="multidigits-lenet")
    parser.add_argument("--directory", type=Path, default=Path("build/race"))
    parser.add_argument("--race", type=json.loads, default={}, help="options of the race, as JSON")
    parser.add_argument("--weightings", nargs="+", default=WEIGHTINGS)
    parser.add_argument("--optimizers", nargs="+", default=OPTIMIZERS)
    parser.add_argument("--settings", type=int, help="of each method, where the suite has axes")
    parser.add_argument("--executor", default="ray", choices=["ray", "inline"])
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--epochs", type=int, help="instead of the suite's")
    arguments = parser.parse_args()
    directory = arguments.directory / arguments.suite
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)
    raw = params_of(
        arguments.suite,
        arguments.weightings,
        arguments.optimizers,
        arguments.rates,
        arguments.settings,
        arguments.epochs,
    )
    raw["resources"] = {**raw["resources"], "executor": arguments.executor}
    context = train_grid(raw, arguments.suite)
    grid = {one.trial.key: one for one in context.plan.read().finished}
    rows, races = compare(context, arguments.race, grid)
    print(rows.round(2).to_string(index=False))
    print()
    print(races.round(3).to_string(index=False))
    print()
    for optimizer, group in [*rows.groupby("optimizer"), ("all", rows)]:
        mean, low, high = interval(group["test difference"].dropna().tolist())
        print(
            f"{optimizer}: loses {group['lost'].mean():.2f} points of validation Delta_m (worst {group['lost'].max():.2f}); "
            f"agrees about {group['agrees'].sum()} of {len(group)} (same setting {group['same'].sum()}); "
            f"test Delta_m {mean:+.2f} [{low:+.2f}, {high:+.2f}] against the grid's"
        )
    shares = races.filter(like="share of").mean()
    print(
        "of the grid: "
        + ", ".join(f"{share:.1%} of its {name.removeprefix('share of ')}" for name, share in shares.items())
    )


if __name__ == "__main__":
    main()
