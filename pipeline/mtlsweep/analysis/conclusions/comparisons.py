"""Method against method at their selected learning rates: paired tests, rankings, sensitivity, Pareto probability.

Selection used validation figures; this compares the test figures of the selected cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtlsweep.analysis.conclusions.statistics import (
    FEWEST_SEEDS,
    Comparison,
    compare_blocks,
    compare_pairs,
    flip_interval,
    holm,
    holm_levels,
    membership_probability,
    paired_interval,
    rank_agreement,
)
from mtlsweep.analysis.fronts.pareto_set import costs
from mtlsweep.analysis.objectives import Objective

REFERENCE_WEIGHTING = "ew"
_FIGURE = "test_delta_m"
_NUMBERS = ["difference", "low", "high", "deviation", "effect_size", "p", "p_holm"]
_COLUMNS = ["question", "within", "a", "b", "pairs", *_NUMBERS, "note"]


def compare_methods(selected: pd.DataFrame) -> pd.DataFrame:
    """Compare optimizers within each weighting, weightings with EW within each optimizer, and optimizers overall.

    Args:
        selected: the trials of the selected cells.

    Returns:
        A row per comparison. `question` is the family within which p is Holm-corrected ("optimizer",
        "weighting" or "optimizer overall"); `difference` is Delta_m of a minus b in percentage points,
        so negative means that a is better. The first two pair by seed, the third by weighting. `low` and `high` are the
        interval of the level at which Holm's correction tests the row: it leaves out 0 exactly where `p_holm` is below
        5 %. Where there are too few seeds or weightings for a test it is the 95 % interval of Student's t.
    """
    by_seed = selected.pivot_table(index="seed", columns=["weighting", "optimizer"], values=_FIGURE, observed=True)
    optimizers = sorted(by_seed.columns.unique("optimizer"))
    weightings = sorted(by_seed.columns.unique("weighting"))
    rows = [
        {"question": "optimizer", "within": weighting, "a": a, "b": b}
        | _paired(by_seed, (weighting, a), (weighting, b))
        for weighting in weightings
        for a, b in combinations(optimizers, 2)
        if (weighting, a) in by_seed and (weighting, b) in by_seed
    ]
    rows += [
        {"question": "weighting", "within": optimizer, "a": weighting, "b": REFERENCE_WEIGHTING}
        | _paired(by_seed, (weighting, optimizer), (REFERENCE_WEIGHTING, optimizer))
        for optimizer in optimizers
        for weighting in weightings
        if weighting != REFERENCE_WEIGHTING
        and (weighting, optimizer) in by_seed
        and (REFERENCE_WEIGHTING, optimizer) in by_seed
    ]
    means, over_weightings = _mean_table(selected), {}
    for a, b in combinations(optimizers, 2):
        differences = (means[a] - means[b]).dropna().to_numpy()
        if len(differences):
            over_weightings[len(rows)] = differences
            overall = {"question": "optimizer overall", "within": "all weightings", "a": a, "b": b}
            rows.append(overall | asdict(compare_blocks(differences)))
    table = pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(_NUMBERS, float) | {"pairs": "int64"})
    return _corrected(table, over_weightings)


def _corrected(table: pd.DataFrame, over_weightings: Mapping[int, NDArray[np.float64]]) -> pd.DataFrame:
    """Correct the p values of each question for their number, and widen the intervals of what was tested accordingly.

    Args:
        table: of all comparisons. over_weightings: by row, the differences of those that pair by weighting.
    """
    for _, family in table.groupby("question"):
        p = family["p"].to_numpy()
        table.loc[family.index, "p_holm"] = holm(p)
        tested, levels = family[~np.isnan(p)], holm_levels(p)[~np.isnan(p)]
        difference, deviation, pairs = (tested[name].to_numpy() for name in ("difference", "deviation", "pairs"))
        ends = np.column_stack(paired_interval(difference, deviation, pairs, levels))
        for place, (row, level) in enumerate(zip(tested.index, levels, strict=True)):
            if row in over_weightings:
                ends[place] = flip_interval(over_weightings[row], level)
        table.loc[tested.index, ["low", "high"]] = ends
    return table


def _paired(by_seed: pd.DataFrame, a: tuple[str, str], b: tuple[str, str]) -> dict[str, Any]:
    pairs = by_seed[[a, b]].dropna()
    if pairs.empty:
        return asdict(Comparison(0, np.nan, None, None, None, None, "no seed in common"))
    return asdict(compare_pairs(pairs[a].to_numpy(), pairs[b].to_numpy()))


def _mean_table(selected: pd.DataFrame) -> pd.DataFrame:
    """Return Delta_m with a row per weighting, a column per optimizer."""
    return selected.pivot_table(index="weighting", columns="optimizer", values=_FIGURE, observed=True)


def compare_rankings(selected: pd.DataFrame) -> pd.DataFrame:
    """Return Kendall's tau between the rankings of weightings under each two optimizers."""
    means = _mean_table(selected)
    rows = []
    for a, b in combinations(sorted(means.columns), 2):
        both = means[[a, b]].dropna()
        tau, p, note = rank_agreement(both[a].to_numpy(), both[b].to_numpy())
        rows.append({"optimizer_a": a, "optimizer_b": b, "weightings": len(both), "tau": tau, "p": p, "note": note})
    columns = ["optimizer_a", "optimizer_b", "weightings", "tau", "p", "note"]
    return pd.DataFrame(rows, columns=columns).astype({"tau": float, "p": float, "weightings": "int64"})


def pareto_probability(selected: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return per method the bootstrap probability that its mean over seeds is Pareto-optimal among all methods.

    Only seeds that every method has are drawn; with fewer than two of them there is no probability.
    """
    methods = selected[["weighting", "optimizer"]].drop_duplicates().sort_values(["weighting", "optimizer"])
    everywhere = selected.groupby("seed")["cell_key"].nunique()
    shared = sorted(everywhere[everywhere == len(methods)].index)
    table = methods.reset_index(drop=True).assign(probability=np.nan, seeds=len(shared), note="")
    if len(shared) < 2:
        return table.assign(note="fewer than two seeds in common")
    runs = selected[selected["seed"].isin(shared)].sort_values(["seed", "weighting", "optimizer"])
    points = costs(runs, objectives).reshape(len(shared), len(methods), len(objectives))
    missing, infinite = np.isnan(points).any(axis=(0, 2)), np.isinf(points).any(axis=(0, 2))
    usable = ~(missing | infinite)
    table.loc[usable, "probability"] = membership_probability(points[:, usable])
    table.loc[infinite, "note"] = "a metric is infinite"
    table.loc[missing, "note"] = "a metric is missing"
    if len(shared) < FEWEST_SEEDS:
        table.loc[usable, "note"] = f"few seeds ({len(shared)}): a rough figure"
    return table
