"""Late selection: which epoch represents a trial, which trials are the baseline, which learning rate represents a method.

Every choice here is made on validation figures. Test figures are read for what was chosen and
never compared: `select_learning_rates` does not even get them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

METHOD = ["weighting", "optimizer"]


def eligible_cells(trials: pd.DataFrame, by: list[str], criterion: str) -> pd.DataFrame:
    """Return the cells whose replicates are all done and measured, best mean `criterion` first within `by`."""
    usable = (trials["outcome"] == "done") & np.isfinite(trials[criterion].astype(float))
    cells = (
        trials.assign(usable=usable)
        .groupby([*by, "cell_key"], as_index=False, observed=True)
        .agg(lr=("lr", "first"), seeds=("seed", "size"), usable=("usable", "all"), mean=(criterion, "mean"))
    )
    cells = cells[cells["usable"]].drop(columns="usable")
    return cells.sort_values([*by, "mean", "lr", "cell_key"], ignore_index=True)


def select_learning_rates(trials: pd.DataFrame) -> pd.DataFrame:
    """Return per method the eligible cell with the lowest mean validation Delta_m (ties: lower learning rate).

    Args:
        trials: multi-task trials; only identity, outcome and `val_delta_m` are read.

    Returns:
        Columns weighting, optimizer, cell_key, lr, seeds, mean; methods without an eligible cell do not appear.
    """
    visible = trials[[*METHOD, "cell_key", "lr", "seed", "outcome", "val_delta_m"]]
    return eligible_cells(visible, METHOD, "val_delta_m").groupby(METHOD, as_index=False, observed=True).head(1)
