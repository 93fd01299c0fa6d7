"""Which fixed weights are tried: spread over the simplex at first, then where the front of their results is thin.

Weights sum to the number of tasks, so that equal weights are all 1, and have two decimals: they are part of keys and names.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from mtlsweep.analysis.fronts.pareto_set import nondominated

GOLDEN = (math.sqrt(5) - 1) / 2

LEAST = 0.1
"""No weight is lower: a task without any weight is not learnt."""


def spread_weights(tasks: int, count: int) -> NDArray[np.float64]:
    """Return `count` weights [count, tasks] that cover the simplex evenly; more weights begin with fewer.

    The gaps between `tasks` - 1 sorted uniform numbers are uniform on the simplex (Devroye 1986, chapter V.2). The numbers are
    Sobol's sequence without scrambling, which is the same in every version of scipy, moved by multiples of the golden ratio
    (Cranley and Patterson 1976), so that no two of a point are equal.
    """
    points = qmc.Sobol(tasks - 1, scramble=False).random_base2(math.ceil(math.log2(count)))[:count]
    points = np.sort((points + GOLDEN * np.arange(1, tasks)) % 1.0, axis=1)
    share = np.diff(points, axis=1, prepend=0.0, append=1.0)
    return _rounded(LEAST + tasks * (1 - LEAST) * share)


def refined_weights(weights: NDArray[np.float64], results: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return up to `count` further weights [count, tasks] where the front of `results` is thin.

    Each lies halfway between two weights on the front, and its result is expected halfway between theirs. The pair is taken
    whose middle is farthest from all results on the front, those expected of weights taken before included.

    Args:
        weights: [N, tasks], those tried so far.
        results: [N, tasks], lower is better: what each reached.
    """
    extent = np.ptp(results, axis=0)
    scaled = results / np.where(extent > 0, extent, 1.0)
    member = nondominated(scaled)
    if member.sum() < 2:
        member[:] = True
    front, reached = list(weights[member]), list(scaled[member])
    known = {tuple(row) for row in _rounded(weights)}
    chosen: list[NDArray[np.float64]] = []
    while len(chosen) < count:
        gaps = []
        for a, b in combinations(range(len(front)), 2):
            middle, expected = _rounded((front[a] + front[b]) / 2), (reached[a] + reached[b]) / 2
            if tuple(middle) not in known:
                gaps.append((float(np.linalg.norm(reached - expected, axis=1).min()), -a, -b, middle, expected))
        if not gaps:
            break
        *_, middle, expected = max(gaps, key=lambda gap: gap[:3])
        known.add(tuple(middle))
        chosen.append(middle)
        front.append(middle)
        reached.append(expected)
    return np.array(chosen).reshape(-1, weights.shape[1])


def _rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(weights, 2)
