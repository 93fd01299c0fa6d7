"""What a printed table can claim: means and standard deviations of Delta_m over a few seeds, without the runs.

A row says `delta_m`, `delta_m_std` and over how many `seeds` they are. Noise of two or three seeds is hardly known row by
row, so it is pooled over the rows, as in the report's tables (`pooled_variance`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from mtlsweep.analysis.conclusions.statistics import LEVEL, holm, pooled_variance


@dataclass(frozen=True)
class PrintedClaims:
    """How far the best row of a printed table is from the others, in points of Delta_m.

    Attributes:
        best: weighting of the lowest printed Delta_m. low, high: 95 % interval of it over seeds, with its own deviation.
        rivals: number of other rows. tied: weightings of those that differ from the best by no more than chance (t test
            with pooled noise, Holm).
        least: by how much a single rival must differ to be told from the best, without Holm's correction.
        rows_with_noise: how many rows print a deviation.
    """

    best: str
    delta_m: float
    low: float
    high: float
    rivals: int
    tied: tuple[str, ...]
    least: float
    rows_with_noise: int


def printed_claims(rows: pd.DataFrame) -> PrintedClaims | None:
    """Compare the printed means of a table with the lowest of them.

    Neither the choice of learning rates nor the noise of the baseline is in printed deviations, so that the
    true uncertainty is larger.

    Args:
        rows: `weighting`, `delta_m`, `delta_m_std` and `seeds` of every row but the baseline; a deviation may be missing.

    Returns:
        None where no row has a deviation over two or more seeds, or there is one row only.
    """
    known = rows[rows["delta_m"].notna()].sort_values("delta_m", kind="stable", ignore_index=True)
    seeds = known["seeds"].to_numpy(dtype=float)
    deviations = known["delta_m_std"].where(seeds > 1).to_numpy(dtype=float)
    pooled = pooled_variance(deviations, seeds)
    if pooled is None or len(known) < 2:
        return None
    variance, degrees = pooled
    errors = np.sqrt(variance * (1 / seeds[0] + 1 / seeds[1:]))
    behind = known["delta_m"].to_numpy(dtype=float)[1:] - known.loc[0, "delta_m"]
    tied = holm(2 * stats.t.sf(behind / errors, degrees)) >= 1 - LEVEL
    best = known.iloc[0]
    reach = stats.t.ppf(0.5 + LEVEL / 2, seeds[0] - 1) * deviations[0] / np.sqrt(seeds[0])
    return PrintedClaims(
        best=str(best["weighting"]),
        delta_m=float(best["delta_m"]),
        low=float(best["delta_m"] - reach),
        high=float(best["delta_m"] + reach),
        rivals=len(behind),
        tied=tuple(known["weighting"].iloc[1:][tied]),
        least=float(stats.t.ppf(0.5 + LEVEL / 2, degrees) * np.median(errors)),
        rows_with_noise=int(np.isfinite(deviations).sum()),
    )
