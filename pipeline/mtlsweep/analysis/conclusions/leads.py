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
from mtlsweep.analysis.conclusions.statistics import compare_pairs, holm, holm_levels, paired_interval
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.objectives import Objective, counted
from mtlsweep.analysis.selection import without_compared
from mtlsweep.trials.metric_names import DELTA_M

PARTS = ("difference", "single_task", "gap")
"""Against the best baselines, of single-task training, and against the baselines of each optimizer."""

_COLUMNS = [
    *("a", "b", "weightings", "seeds"),
    *(f"{part}{end}" for part in PARTS for end in ("", "_low", "_high")),
    *(f"{part}_p_holm" for part in PARTS),
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
        `gap` are its two parts. `<part>_p_holm` is of a paired t test over seeds, corrected for the number of pairs (none
        with too few seeds); `<part>_low` and `<part>_high` are the interval of the same test at the level of its step of
        the correction: it leaves out 0 exactly where the corrected p is below 5 %. Without a test it is the plain 95 % interval (none
        with one seed).
    """
    chosen = trials[trials["cell_key"].isin(selected["cell_key"])]
    by_seed = chosen.pivot_table(index="seed", columns=["optimizer", "weighting"], values="test_delta_m", observed=True)
    single = {name: _single_task(own, baselines, objectives) for name, own in baselines.by_optimizer.items()}
    labels = chosen["optimizer"].drop_duplicates()
    known = {label: own for label, own in zip(labels, without_compared(labels), strict=True) if own in single}
    pairs, found = [], []
    for a, b in combinations(sorted(known), 2):
        weightings = sorted(set(by_seed[a]) & set(by_seed[b]))
        parts = pd.DataFrame({
            "difference": (by_seed[a][weightings] - by_seed[b][weightings]).mean(axis=1, skipna=False),
            "single_task": single[known[a]] - single[known[b]],
        }).dropna()  # fmt: skip
        if len(parts):
            pairs.append({"a": a, "b": b, "weightings": len(weightings), "seeds": len(parts)})
            found.append(parts.assign(gap=parts["difference"] - parts["single_task"]))
    if not found:
        return no_leads()
    table = pd.DataFrame(pairs)
    for part in PARTS:
        tests = pd.DataFrame([compare_pairs(parts[part].to_numpy(), np.zeros(len(parts))) for parts in found])
        p = tests["p"].to_numpy(dtype=float)
        table[part] = tests["difference"]
        spread = tests["deviation"].to_numpy(dtype=float)
        ends = paired_interval(table[part].to_numpy(), spread, table["seeds"].to_numpy(), holm_levels(p))
        table[f"{part}_low"], table[f"{part}_high"] = ends
        table[f"{part}_p_holm"] = holm(p)
    return _typed(table[_COLUMNS])


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
