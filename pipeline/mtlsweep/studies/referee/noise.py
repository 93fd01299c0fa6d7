"""What the search adds to the uncertainty of a mean over few seeds: other seeds would have selected another cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mtlsweep.analysis.seed_samples import seed_samples

Array = NDArray[np.float64]

_RESAMPLES = 400
_STREAM = 20241126  # the seed of the resamples, so that equal tables give equal figures


def selection_shares(scores: Array) -> Array:
    """Return how often each cell of a method is selected when seeds are drawn with replacement.

    Args:
        scores: [..., cells, seeds], the validation figures that select the cell with the lowest mean.

    Returns:
        [..., cells]; they sum to 1.
    """
    winner = (scores @ seed_samples(scores.shape[-1], _RESAMPLES, _STREAM).T).argmin(axis=-2)
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
