"""How uncertain a mean over few seeds is: variances that lend each other strength, and what the search adds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

_RESAMPLES = 400
_STREAM = 20241126  # the seed of the resamples, so that equal tables give equal figures
_MANY = 1e6  # degrees of freedom of a variance that is as good as known


def moderated_variances(variances: Array, freedom: int, independent: float) -> tuple[Array, Array]:
    """Return variances that are drawn towards their common value, and their degrees of freedom (Smyth 2004).

    Two or three seeds say little about the noise of one difference, but many differences say how noise is distributed.
    Their variances are taken as draws of a scaled inverse chi-square distribution, whose mean and width follow from
    mean and variance of their logarithms; where they differ no more than chance explains, all become equal.

    Args:
        variances: [..., N], of differences with the same number of seeds.
        freedom: degrees of freedom of each.
        independent: how many independent ones have a mean that is as certain as the mean of the N.
    """
    floor = 1e-12 * variances.mean(axis=-1, keepdims=True) + np.finfo(float).tiny
    logs = np.log(np.maximum(variances, floor)) - special.digamma(freedom / 2) + np.log(freedom / 2)
    count = variances.shape[-1]
    excess = (logs.var(axis=-1, ddof=1, keepdims=True) if count > 1 else 0 * logs) - special.polygamma(1, freedom / 2)
    differ = excess > 1e-3
    prior = np.where(differ, 2 * _inverse_trigamma(np.where(differ, excess, 1.0)), _MANY)
    shift = np.where(differ, special.digamma(prior / 2) - np.log(prior / 2), 0.0)
    common = np.exp(logs.mean(axis=-1, keepdims=True) + shift)
    moderated = (prior * common + freedom * variances) / (prior + freedom)
    return moderated, np.broadcast_to(np.minimum(prior + freedom, independent * freedom), variances.shape)


def _inverse_trigamma(values: Array) -> Array:
    """Return x with trigamma(x) = `values`, by Newton's method for 1 / trigamma, which converges from below."""
    x = 0.5 + 1 / values
    for _ in range(20):
        trigamma = special.polygamma(1, x)
        x = x + trigamma * (1 - trigamma / values) / special.polygamma(2, x)
    return np.asarray(x)


def selection_shares(scores: Array) -> Array:
    """Return how often each cell of a method is selected when seeds are drawn with replacement.

    Args:
        scores: [..., cells, seeds], the validation figures that select the cell with the lowest mean.

    Returns:
        [..., cells]; they sum to 1.
    """
    seeds = scores.shape[-1]
    draws = np.random.default_rng(_STREAM).multinomial(seeds, np.full(seeds, 1 / seeds), size=_RESAMPLES) / seeds
    winner = (scores @ draws.T).argmin(axis=-2)
    cells = range(scores.shape[-2])
    return np.stack([(winner == cell).mean(axis=-1) for cell in cells], axis=-1)


def search_variance(scores: Array, means: Array) -> Array:
    """Return by how much the result of a method varies because other seeds would have selected another cell.

    Args:
        scores: [..., cells, seeds], as for `selection_shares`.
        means: [..., cells, tasks], the results of the cells.

    Returns:
        [..., tasks]: mean squared deviation from the result of the selected cell.
    """
    shares = selection_shares(scores)
    selected = scores.mean(axis=-1).argmin(axis=-1)[..., None, None]
    own = np.take_along_axis(means, selected, axis=-2)
    return np.einsum("...c,...ct->...t", shares, (means - own) ** 2)
