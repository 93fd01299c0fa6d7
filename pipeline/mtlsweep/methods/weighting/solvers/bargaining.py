"""Positive weights with M w = c w^{-p}: the fair point of Nash-MTL (p = 1), FairGrad, and with claims c of PIVRG."""

from __future__ import annotations

import numpy as np

_RIDGE = 1e-10
"""Added to the unit diagonal of the cosines: bounds the weights where gradients cancel each other, at 1e5 times their size."""


def fair_weights(gramian: np.ndarray, power: float, claims: np.ndarray | None = None) -> np.ndarray:
    """Return w > 0 [T] with `gramian` w = `claims` w^{-power}; claims [T] are positive, and 1 by default.

    A task whose gradient is zero (1e-10 of the longest or less) gets
    the mean weight of the others, 1 if there are none.

    Raises:
        numpy.linalg.LinAlgError: no convergence within 200 steps.
    """
    norms = np.sqrt(gramian.diagonal())
    takes_part = norms > 1e-10 * norms.max()
    weights = np.ones(len(norms))
    if takes_part.any():
        weights[takes_part] = _solve(
            gramian[np.ix_(takes_part, takes_part)],
            norms[takes_part],
            power,
            1.0 if claims is None else claims[takes_part],
        )
        weights[~takes_part] = weights[takes_part].mean()
    return weights


def _solve(gramian: np.ndarray, norms: np.ndarray, power: float, claims: np.ndarray | float) -> np.ndarray:
    """Minimise the convex w^T M w / 2 - sum_i c_i w_i^{1-p} / (1-p) (c_i log w_i if p = 1).

    Damped Newton steps in y = |g| w, where the quadratic part has a unit diagonal.
    """
    cosines = gramian / norms[:, None] / norms
    np.fill_diagonal(cosines, 1.0 + _RIDGE)
    magnitudes = np.abs(cosines)
    pull = claims * norms ** (power - 1.0)
    scaled = (pull / np.maximum(cosines.clip(min=0.0).sum(axis=1), 1.0)) ** (1.0 / (1.0 + power))
    for _ in range(200):
        push = pull * scaled**-power
        gradient = cosines @ scaled - push
        if (np.abs(gradient) <= 1e-10 * push + 1e-14 * (magnitudes @ scaled)).all():
            break
        step = -np.linalg.solve(cosines + np.diag(power * push / scaled), gradient)
        length = min(1.0, 0.9 / max(np.max(-step / scaled), 1e-300))
        slope = gradient @ step
        while _rise(cosines, pull, power, scaled, length * step) > 1e-4 * length * slope and length > 1e-12:
            length *= 0.5
        scaled = scaled + length * step
    else:
        raise np.linalg.LinAlgError(f"no fair weights for a Gramian with diagonal {gramian.diagonal().tolist()}")
    weights: np.ndarray = scaled / norms
    return weights


def _rise(cosines: np.ndarray, pull: np.ndarray, power: float, scaled: np.ndarray, step: np.ndarray) -> float:
    """Return how much the convex objective increases from `scaled` to `scaled + step`."""
    ratio = step / scaled
    if power == 1.0:
        barrier = -(pull * np.log1p(ratio)).sum()
    else:
        exponent = 1.0 - power
        barrier = -(pull * scaled**exponent * np.expm1(exponent * np.log1p(ratio)) / exponent).sum()
    rise: float = step @ (cosines @ scaled) + 0.5 * (step @ cosines @ step) + barrier
    return rise
