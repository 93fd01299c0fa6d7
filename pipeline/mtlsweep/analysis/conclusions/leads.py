"""How much of one optimizer's lead over another single-task training has, too.

An optimizer may be ahead because it trains any network better, or because it suits several tasks. With M the test
Delta_m of a method and S that of single-task training with its optimizer, both against the best baselines:

    M_a - M_b = (S_a - S_b) + ((M_a - S_a) - (M_b - S_b))

The first part is what single-task training has, too; the second is by how much the multi-task gap is smaller. Both are
points of the same Delta_m, so they add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from mtlsweep.analysis.baselines import Baselines
from mtlsweep.analysis.chosen_epochs import measured_on
from mtlsweep.analysis.conclusions.statistics import compare_pairs, holm, mean_interval
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.objectives import Objective, counted
from mtlsweep.analysis.selection import without_compared
from mtlsweep.trials.metric_names import DELTA_M

PARTS = ("difference", "single_task", "gap")
TESTED = ("difference", "gap")
"""Against the best baselines, and against those of each optimizer."""

_COLUMNS = [
    *("a", "b", "weightings", "seeds"),
    *(f"{part}{end}" for part in PARTS for end in ("", "_low", "_high")),
    *(f"{part}_p_holm" for part in TESTED),
]


def optimizer_leads(
    trials: pd.DataFrame, selected: pd.DataFrame, baselines: Baselines, objectives: Sequence[Objective]
) -> pd.DataFrame:
    """Return a row per two optimizers that single-task training was run with.

    Args:
        trials: multi-task trials with `test_delta_m`.
        selected: `cell_key` of the cell that each method selected.
        baselines: the single-task results, of each optimizer too.
        objectives: every metric of every task.

    Returns:
        a, b; `weightings` that both have, whose mean is taken; `seeds` that multi-task and single-task training of both
        have in common. `difference` is Delta_m of a minus b in points, negative where a is better; `single_task` and
        `gap` are its two parts; each with the ends of its 95 % interval over seeds (none with one seed). `difference_p_holm`
        and `gap_p_holm` are of paired t tests over seeds, corrected for the number of pairs (none with too few seeds).
    """
    chosen = trials[trials["cell_key"].isin(selected["cell_key"])]
    by_seed = chosen.pivot_table(index="seed", columns=["optimizer", "weighting"], values="test_delta_m", observed=True)
    single = {name: _single_task(own, baselines, objectives) for name, own in baselines.by_optimizer.items()}
    labels = chosen["optimizer"].drop_duplicates()
    known = {label: own for label, own in zip(labels, without_compared(labels), strict=True) if own in single}
    rows = []
    for a, b in combinations(sorted(known), 2):
        weightings = sorted(set(by_seed[a]) & set(by_seed[b]))
        parts = pd.DataFrame({
            "difference": (by_seed[a][weightings] - by_seed[b][weightings]).mean(axis=1, skipna=False),
            "single_task": single[known[a]] - single[known[b]],
        }).dropna()  # fmt: skip
        if parts.empty:
            continue
        parts["gap"] = parts["difference"] - parts["single_task"]
        low, high, _ = mean_interval(parts.to_numpy())
        figures = np.column_stack([parts.mean().to_numpy(), low, high]).ravel()
        tests = [compare_pairs(parts[part].to_numpy(), np.zeros(len(parts))).p for part in TESTED]
        rows.append([a, b, len(weightings), len(parts), *figures, *tests])
    table = _typed(pd.DataFrame(rows, columns=_COLUMNS))
    for part in TESTED:
        table[f"{part}_p_holm"] = holm(table[f"{part}_p_holm"].to_numpy())
    return table


def no_leads() -> pd.DataFrame:
    """Return the table of a study whose single-task training has one optimizer."""
    return _typed(pd.DataFrame(columns=_COLUMNS))


def _single_task(own: Baselines, best: Baselines, objectives: Sequence[Objective]) -> pd.Series:
    """Return, by seed, the test Delta_m of one optimizer's baselines against the best ones."""
    chosen = own.trials[own.trials["cell_key"].isin(own.table["cell_key"])]
    figures = measured_on(chosen, "test", counted(objectives)).assign(seed=chosen["seed"])
    by_seed = figures.groupby("seed").mean()  # a trial has the figures of its task
    return delta_m(by_seed, best.values["test"], objectives)[DELTA_M]


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    numbers = dict.fromkeys(_COLUMNS[4:], "float64")
    return table.astype({"a": "str", "b": "str", "weightings": "int64", "seeds": "int64", **numbers})
