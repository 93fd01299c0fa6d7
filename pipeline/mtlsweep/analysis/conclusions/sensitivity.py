"""How much each method's result depends on its learning rate."""

from __future__ import annotations

import numpy as np
import pandas as pd


def learning_rate_sensitivity(cells: pd.DataFrame, trials: pd.DataFrame, tolerance: float = 5.0) -> pd.DataFrame:
    """Return per method how far its learning rate may be from the best before Delta_m is `tolerance` points worse.

    Args:
        cells: cells whose replicates are all done, however many (weighting, optimizer, lr, mean validation
            Delta_m as `mean`).
        trials: all trials, however they ended: a rate at which they diverged has been tried, too.
        tolerance: in percentage points of Delta_m.

    Returns:
        best_lr, low_lr and high_lr (ends of the unbroken range of these rates within tolerance),
        `decades` (its width), `tried` (rates) and `open_end` ("low", "high", "both" or "": where the
        range reaches the end of the tried rates, so that it may be wider).
    """
    rows = []
    for (weighting, optimizer), method in cells.groupby(["weighting", "optimizer"], observed=True):
        by_rate = method.groupby("lr")["mean"].min().sort_index()
        rates, means = by_rate.index.to_numpy(), by_rate.to_numpy()
        best = low = high = int(np.argmin(means))
        within = means <= means[best] + tolerance
        while low > 0 and within[low - 1]:
            low -= 1
        while high < len(rates) - 1 and within[high + 1]:
            high += 1
        own = (trials["weighting"] == weighting) & (trials["optimizer"] == optimizer)
        tried = trials.loc[own, "lr"]
        open_end = {(True, True): "both", (True, False): "low", (False, True): "high"}.get(
            (rates[low] == tried.min(), rates[high] == tried.max()), ""
        )
        row = {"weighting": weighting, "optimizer": optimizer, "best_lr": rates[best], "low_lr": rates[low]}
        rows.append(row | {"high_lr": rates[high], "decades": float(np.log10(rates[high] / rates[low])),
                           "tried": tried.nunique(), "open_end": open_end})  # fmt: skip
    columns = ["weighting", "optimizer", "best_lr", "low_lr", "high_lr", "decades", "tried", "open_end"]
    return pd.DataFrame(rows, columns=columns)
