"""Bootstrap samples of seeds, as the share that each seed has in each sample; equal arguments give equal samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@lru_cache(maxsize=32)
def seed_samples(seeds: int, samples: int, stream: int) -> Floats:
    """Return samples drawn with replacement [samples, seeds]; each row sums to 1.

    Args:
        seeds: number of seeds, or of other values that are drawn.
        samples: number of samples.
        stream: seed of the draws.
    """
    return np.random.default_rng(stream).multinomial(seeds, np.full(seeds, 1 / seeds), size=samples) / seeds


@lru_cache(maxsize=32)
def balanced_seed_samples(seeds: int, samples: int, stream: Sequence[int]) -> Floats:
    """Return balanced samples: in all of them together each seed is drawn equally often (Davison, Hinkley and Schechtman
    1986), so that without any choice the expected optimism is zero.

    Args:
        seeds, samples, stream: as for `seed_samples`.
    """
    drawn = np.random.default_rng(stream).permutation(np.repeat(np.arange(seeds), samples))
    counts = np.zeros((samples, seeds))
    np.add.at(counts, (np.repeat(np.arange(samples), seeds), drawn), 1.0)
    return counts / seeds
