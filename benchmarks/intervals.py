"""How often intervals cover the truth, how wide they are, and whether the seeds that settle a comparison do so.

    python benchmarks/intervals.py                     # coverage and optimism (half an hour)
    python benchmarks/intervals.py --settle            # power at the seeds that `mtlsweep plan --settle` names, and errors

Sweeps are simulated with known effects: three methods of five learning rates and three tasks, all trained to the end, with
baselines of three rates. The truth is the mean result of the whole procedure over all simulated sweeps of as many seeds.
`search`: intervals that include the search; `conditional`: those of the results table, which hold epochs, learning
rates and baselines fixed. Everything but the sweeps is the package's own code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import pandas as pd
from scipy import stats

from mtlsweep.analysis.conclusions.settling import seeds_needed
from mtlsweep.analysis.conclusions.statistics import FEWEST_SEEDS, holm, mean_interval
from mtlsweep.analysis.repetition.arrays import SweepArrays
from mtlsweep.analysis.repetition.intervals import Repeated, repeat
from mtlsweep.analysis.repetition.procedure import repeat_procedure
from mtlsweep.testing.simulated_arrays import ArrayTruth, normal, simulate_arrays, skewed

NOISES = {"normal": normal, "skewed": skewed}
TRUTHS = {
    "one rate is best": ArrayTruth(np.array([[0.0, 4, 8, 12, 20], [3, 6, 9, 20, 30], [6, 9, 10, 20, 30]])),
    "rates are near": ArrayTruth(np.array([[0.0, 0.5, 1, 4, 9], [0.3, 0.8, 1, 4, 9], [1, 1, 1.5, 4, 9]])),
    "all are equal": ArrayTruth(np.zeros((3, 5))),
}


def conditional(sweep: SweepArrays, repeated: Repeated, method: int) -> tuple[float, float]:
    """Return the interval that holds cell and baselines fixed, from the seeds of the selected cell."""
    cell = repeated.result.chosen[0, method]
    alone = replace(sweep, values=sweep.values[:, [cell]], method=np.array([0]), methods=sweep.methods[:1])
    all_baselines = np.full((sweep.seeds, sweep.baseline_seeds), 1 / sweep.baseline_seeds)
    values = repeat_procedure(alone, np.eye(sweep.seeds), all_baselines, stretch=False).test
    low, high, _ = mean_interval(values)
    return float(low[0]), float(high[0])


def measure(truth: ArrayTruth, noise: str, seeds: int, sweeps: int) -> dict[str, float]:
    """Simulate sweeps of one kind and compare what was said of each with what is true."""
    generator = np.random.default_rng([seeds, len(noise)])
    results, nested, fixed, optimism, luck = [], [], [], [], []
    for _ in range(sweeps):
        sweep = simulate_arrays(truth, seeds, NOISES[noise], generator)
        repeated = repeat(sweep)
        assert repeated is not None
        best, own = int(repeated.result.best[0]), repeated.result
        results.append([*own.test[0], own.test[0, best], own.test[0, 0] - own.test[0, 1]])
        ends = [repeated.interval(method) for method in sweep.methods]
        nested.append([*ends, repeated.best_interval(), repeated.interval(*sweep.methods[:2])])
        fixed.append([conditional(sweep, repeated, method) for method in range(3)])
        optimism.append(repeated.optimism)
        luck.append(truth.levels.ravel()[own.chosen[0, best]] - own.validation[0, best])
    figures, intervals, conditionals = np.array(results), np.array(nested), np.array(fixed)
    true = figures.mean(axis=0)[:, None]
    covered = (true >= intervals[..., 0].T) & (true <= intervals[..., 1].T)
    covered_fixed = (true[:3] >= conditionals[..., 0].T) & (true[:3] <= conditionals[..., 1].T)
    width, width_fixed = (np.median(one[..., 1] - one[..., 0], axis=0) for one in (intervals, conditionals))
    return {
        "methods": float(covered[:3].mean()),
        "best": float(covered[3].mean()),
        "difference": float(covered[4].mean()),
        "conditional": float(covered_fixed.mean()),
        "width ratio": float((width[:3] / width_fixed).mean()),
        "optimism said": float(np.mean(optimism)),
        "optimism true": float(np.mean(luck) - np.mean(luck_of_a_cell(truth, noise, seeds))),
    }


def luck_of_a_cell(truth: ArrayTruth, noise: str, seeds: int, sweeps: int = 2000) -> list[float]:
    """Return the same differences for a cell that was not chosen for its figures: epochs and baselines are chosen, too."""
    generator = np.random.default_rng(0)
    alone = replace(truth, levels=truth.levels[:1, :1])
    own = np.full((1, seeds), 1 / seeds)
    return [
        truth.levels[0, 0]
        - repeat_procedure(simulate_arrays(alone, seeds, NOISES[noise], generator), own, own, False).validation[0, 0]
        for _ in range(sweeps)
    ]


def coverage(sweeps: int, seeds: list[int]) -> Iterator[dict[str, object]]:
    """Yield a row for each number of seeds, kind of truth and shape of noise."""
    for count in seeds:
        for name, truth in TRUTHS.items():
            for noise in NOISES:
                yield {"seeds": count, "truth": name, "noise": noise, **measure(truth, noise, count, sweeps)}


def settle(families: int) -> Iterator[dict[str, object]]:
    """Yield how often comparisons are decided at the number of seeds that was said to decide them with power 0.8."""
    for pilot in (2, 3, 5, 10):
        for spread in (1.0, 3.0):
            generator = np.random.default_rng([pilot, int(spread)])
            decided: list[bool] = []
            numbers: list[float] = []
            open_ones = 0
            for _ in range(families):
                true, deviation = spread * generator.normal(size=20), np.exp(0.3 * generator.normal(size=20))
                seen = true + deviation * generator.normal(size=(pilot, 20))
                mean, over_seeds = seen.mean(axis=0), seen.std(axis=0, ddof=1)
                known = _found(seen) & (pilot >= FEWEST_SEEDS)
                needed = seeds_needed(mean, over_seeds, np.full(20, float(pilot)), known)
                open_ones += int((~known).sum())
                for number in np.unique(needed[~known & np.isfinite(needed)]).astype(int):
                    further = true + deviation * generator.normal(size=(number - pilot, 20))
                    found = _found(np.concatenate([seen, further]))
                    decided += found[~known & (needed == number)].tolist()
                    numbers += [float(number)] * int((~known & (needed == number)).sum())
            yield {
                "seeds at hand": pilot,
                "spread / noise": spread,
                "promised of the open": len(decided) / open_ones,
                "median seeds": float(np.median(numbers)),
                "decided": float(np.mean(decided)),
            }


def second_look(families: int) -> Iterator[dict[str, object]]:
    """Yield how often a family without any difference has one found, at once or with the seeds that were asked for."""
    for pilot in (5, 10):
        generator = np.random.default_rng(pilot)
        first = both = 0
        for _ in range(families):
            seen = generator.normal(size=(pilot, 20))
            found = _found(seen)
            first += bool(found.any())
            mean, deviation = seen.mean(axis=0), seen.std(axis=0, ddof=1)
            needed = seeds_needed(mean, deviation, np.full(20, float(pilot)), found)
            if np.isfinite(needed[~found]).any():
                further = generator.normal(size=(int(np.nanmax(needed[~found])) - pilot, 20))
                found |= _found(np.concatenate([seen, further]))
            both += bool(found.any())
        yield {"seeds at hand": pilot, "one look errs": first / families, "two looks err": both / families}


def _found(values: np.ndarray) -> np.ndarray:
    """Return which of the differences [seeds, comparisons] are significant after Holm."""
    t = np.abs(values.mean(axis=0)) / values.std(axis=0, ddof=1) * np.sqrt(len(values))
    found: np.ndarray = holm(2 * stats.t.sf(t, len(values) - 1)) < 0.05
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settle", action="store_true")
    parser.add_argument("--sweeps", type=int, default=1000, help="simulated sweeps, or families, of each kind")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4, 5, 7, 10])
    arguments = parser.parse_args()
    settling = chain(settle(arguments.sweeps // 5), second_look(arguments.sweeps))
    for row in settling if arguments.settle else coverage(arguments.sweeps, arguments.seeds):
        print(pd.DataFrame([row]).round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
