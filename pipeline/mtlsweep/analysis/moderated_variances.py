"""Variances of few seeds each, drawn towards what many of them have in common (Smyth 2004).

Two or three seeds say little about the noise of one difference, but many differences say how noise is distributed: the
variances are taken as draws of a scaled inverse chi-square distribution. Its width is fitted where there are hundreds of
variances, and fixed where there are about twenty, which do not tell it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

_FIXED = 4.0
_MANY = 1e6  # degrees of freedom of a variance that is as good as known


def with_fixed_prior(variances: Floats, freedom: Floats) -> tuple[Floats, Floats]:
    """Return variances as if four further degrees of freedom of each had shown the mean of all, and their degrees of freedom."""
    return _moderate(variances, freedom, np.mean(variances), _FIXED), _FIXED + freedom


def with_fitted_prior(variances: Floats, freedom: int, independent: float) -> tuple[Floats, Floats]:
    """Return variances drawn towards their common value by a prior that mean and variance of their logarithms give.

    Where they differ no more than chance explains, all become equal.

    Args:
        variances: [..., N], of differences with the same number of seeds.
        freedom: degrees of freedom of each.
        independent: how many independent ones have a mean that is as certain as the mean of the N.

    Returns:
        The variances and their degrees of freedom, [..., N] each.
    """
    floor = 1e-12 * variances.mean(axis=-1, keepdims=True) + np.finfo(float).tiny
    logs = np.log(np.maximum(variances, floor)) - special.digamma(freedom / 2) + np.log(freedom / 2)
    count = variances.shape[-1]
    excess = (logs.var(axis=-1, ddof=1, keepdims=True) if count > 1 else 0 * logs) - special.polygamma(1, freedom / 2)
    differ = excess > 1e-3
    prior = np.where(differ, 2 * _inverse_trigamma(np.where(differ, excess, 1.0)), _MANY)
    shift = np.where(differ, special.digamma(prior / 2) - np.log(prior / 2), 0.0)
    common = np.exp(logs.mean(axis=-1, keepdims=True) + shift)
    degrees = np.broadcast_to(np.minimum(prior + freedom, independent * freedom), variances.shape)
    return _moderate(variances, freedom, common, prior), degrees


def _moderate(variances: Floats, freedom: Floats | int, common: Floats | np.floating, prior: Floats | float) -> Floats:
    """Return the mean of each variance and the common one, weighted by their degrees of freedom."""
    return np.asarray((prior * common + freedom * variances) / (prior + freedom))


def _inverse_trigamma(values: Floats) -> Floats:
    """Return x with trigamma(x) = `values`, by Newton's method for 1 / trigamma, which converges from below."""
    x = 0.5 + 1 / values
    for _ in range(20):
        trigamma = special.polygamma(1, x)
        x = x + trigamma * (1 - trigamma / values) / special.polygamma(2, x)
    return np.asarray(x)
