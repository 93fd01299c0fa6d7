"""How often the verdicts of the study `referee` are wrong, and how many stay undecided, on simulated truth.

    python benchmarks/referee.py

Each simulated study has twelve fixed weights and ten weightings on a common curve of trade-offs, some of them better or worse
than it by a known number of points in every task. Each method tries five learning rates; the one with the lowest mean
validation Delta_m over the seeds is selected, and judged on test figures, 70 % of whose noise is that of
validation. Noise is normal or exponential, equal for all methods or different by a factor that is log-normal.

*Hardest* are the cases in which a bound has all the chances to be wrong that it allows for, with a single weighting and no search. For `outside`
one fixed weights lies in every task exactly the margin above the weighting, and all others far above. For `inside` every fixed weights lies
just more than the margin above it in one task, and far below in the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlsweep.studies.referee.attained import INSIDE, OUTSIDE, UNDECIDED, leads
from mtlsweep.studies.referee.noise import search_variance

Array = NDArray[np.float64]

MARGIN = 1.0
FIXED, RATES = 12, 5
GAINS = np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
"""By how many points each weighting is better than the curve of trade-offs in every task."""


@dataclass(frozen=True)
class Rates:
    """Shares of verdicts: wrong ones among those whose truth they contradict, undecided ones among all."""

    wrong_outside: float
    wrong_inside: float
    undecided: float


def simulate(
    generator: np.random.Generator, studies: int, seeds: int, tasks: int, skewed: bool, spread: float
) -> Rates:
    """Return how verdicts over `studies` simulated studies turned out."""
    gains = np.concatenate([GAINS, np.zeros(FIXED)])
    shares = generator.dirichlet(np.ones(tasks), size=(studies, len(gains))) * 0.9 + 0.1 / tasks
    level = 4.0 * (1 / np.sqrt(shares * tasks) - 1) - gains[:, None]
    rates = 1.5 * (np.arange(RATES) - generator.uniform(0, RATES - 1, size=(studies, len(gains), 1))) ** 2
    rates -= rates.min(axis=-1, keepdims=True)
    truth = level[:, :, None, :] + rates[..., None]  # [studies, methods, rates, tasks]
    scale = np.exp(spread * generator.normal(size=(studies, len(gains), 1, 1, 1)))
    shape = (studies, len(gains), RATES, seeds, tasks)
    of_seed, of_trial, *of_split = (
        _noise(generator, size, skewed) for size in [(studies, 1, 1, seeds, tasks), *[shape] * 3]
    )
    common = np.sqrt(0.3) * of_seed + np.sqrt(0.4) * of_trial
    validation, test = (truth[..., None, :] + scale * (common + np.sqrt(0.3) * own) for own in of_split)
    scores = validation.mean(axis=-1)
    best = scores.mean(axis=-1).argmin(axis=-1)[..., None, None]
    selected = np.take_along_axis(test, best[..., None], axis=2)[:, :, 0]
    true = np.take_along_axis(truth, best, axis=2)[:, :, 0]
    search = search_variance(scores, test.mean(axis=-2))
    judged = len(GAINS)
    found = leads(selected[:, :judged], selected[:, judged:], search[:, :judged], search[:, judged:])
    lead = (true[:, None, judged:] - true[:, :judged, None]).max(axis=-1).min(axis=-1)
    verdict = found.verdicts(MARGIN)
    return Rates(
        float((verdict[lead <= MARGIN] == OUTSIDE).mean()),
        float((verdict[lead > MARGIN] == INSIDE).mean()),
        float((verdict == UNDECIDED).mean()),
    )


def hardest_cases(
    generator: np.random.Generator, studies: int, seeds: int, tasks: int, skewed: bool, spread: float
) -> Rates:
    """Return how often each verdict is wrong where it is hardest."""
    scale = np.exp(spread * generator.normal(size=(studies, FIXED + 1, 1, 1)))
    noise = scale * _noise(generator, (studies, FIXED + 1, seeds, tasks), skewed)
    far = 40.0 + np.arange(FIXED)[:, None, None] * np.ones(tasks)
    on_margin, in_one_task = far.copy(), -far
    on_margin[0] = MARGIN
    in_one_task[np.arange(FIXED), :, np.arange(FIXED) % tasks] = MARGIN + 1e-9
    verdicts = [leads(noise[:, :1], noise[:, 1:] + truth).verdicts(MARGIN) for truth in (on_margin, in_one_task)]
    return Rates(
        float((verdicts[0] == OUTSIDE).mean()),
        float((verdicts[1] == INSIDE).mean()),
        float((verdicts[0] == UNDECIDED).mean()),
    )


def _noise(generator: np.random.Generator, shape: tuple[int, ...], skewed: bool) -> Array:
    return generator.exponential(size=shape) - 1 if skewed else generator.normal(size=shape)


def table(studies: int) -> Iterator[str]:
    """Yield the rows of a Markdown table."""
    yield "| tasks | noise | methods' noise | seeds | wrong `outside` | wrong `inside` | undecided | hardest: wrong `outside` | wrong `inside` |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for tasks in (2, 3, 11):
        for skewed in (False, True):
            for spread in (0.0, 0.5):
                for seeds in (2, 3, 5, 10):
                    generator = np.random.default_rng([tasks, int(skewed), int(10 * spread), seeds])
                    own = simulate(generator, max(studies * 3 // tasks, 50), seeds, tasks, skewed, spread)
                    hard = hardest_cases(generator, 4 * studies, seeds, tasks, skewed, spread)
                    figures = (
                        own.wrong_outside,
                        own.wrong_inside,
                        own.undecided,
                        hard.wrong_outside,
                        hard.wrong_inside,
                    )
                    said = " | ".join(f"{100 * figure:.1f} %" for figure in figures)
                    kinds = "skewed" if skewed else "normal", "different" if spread else "equal"
                    yield f"| {tasks} | {kinds[0]} | {kinds[1]} | {seeds} | {said} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="simulated studies of each kind")
    for line in table(parser.parse_args().studies):
        print(line, flush=True)
