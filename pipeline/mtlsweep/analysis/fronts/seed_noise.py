"""How much seeds of the same cell differ, and which differences are larger than that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtlsweep.analysis.fronts.pareto_set import comparable, costs, dominated_by
from mtlsweep.analysis.objectives import Objective

TOLERANCES = (0.0, 1.0, 2.0)


def seed_noise(selected: pd.DataFrame, objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Return per objective the standard deviation over seeds, pooled over the selected cells (NaN without replicates)."""
    columns = [objective.of("test").column for objective in objectives]
    return np.sqrt(selected.groupby("cell_key")[columns].var(ddof=1).mean().to_numpy(dtype=float))


def count_beyond_noise(runs: pd.DataFrame, noise: NDArray[np.float64], objectives: Sequence[Objective]) -> pd.DataFrame:
    """Count additively epsilon-nondominated runs: those that no run beats by more than the tolerance everywhere.

    Args:
        noise: one standard deviation over seeds per objective; tolerances are multiples of it.

    Returns:
        (tolerance, optimizer, runs, pareto_full); tolerance 0 is the plain Pareto count. Only
        tolerance 0 appears when the noise is unknown.
    """
    points = costs(runs, objectives)
    usable = comparable(points)
    optimizer = runs["optimizer"].to_numpy(dtype=object)
    rows = []
    for tolerance in TOLERANCES if np.isfinite(noise).all() else TOLERANCES[:1]:
        shifted = points - tolerance * noise if tolerance else points
        member = usable & ~dominated_by(shifted, points)
        for name in sorted(set(optimizer)):
            rows.append((tolerance, name, int((optimizer == name).sum()), int(member[optimizer == name].sum())))
    return pd.DataFrame(rows, columns=["tolerance", "optimizer", "runs", "pareto_full"])
