"""Numbers of a column, in deviations from their mean over the training split."""

from __future__ import annotations

import numpy as np

from mtlsweep.errors import UserError


def standardise(values: np.ndarray, name: str, train: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Return numbers, NaN where missing, with mean 0 and deviation 1 over the training rows; and what they were before.

    Raises:
        UserError: the training rows hold fewer than two different numbers.
    """
    seen = values[train][~np.isnan(values[train])]
    if not len(seen) or seen.min() == seen.max():
        only = f"{seen[0]:g} in every training row" if len(seen) else "empty in every training row"
        raise UserError(f"column `{name}` is {only}, so nothing can be learnt from it; leave it out.")
    # Rounded, so that the last bit of a sum cannot change the fingerprint from machine to machine.
    mean, deviation = (float(f"{figure:.6g}") for figure in (seen.mean(), seen.std()))
    return (values - mean) / deviation, {"mean": mean, "deviation": deviation}
