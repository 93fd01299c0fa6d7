"""What may have been missed: trials that were lost, learning rates that were cut, and lists that were too short."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mtlsweep.analysis.selection import axis_columns, without_compared
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.sentences.words import listed, times


def lost_trials(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how many trials diverged or failed, by optimizer."""
    by_optimizer = analysis.outcomes.groupby("optimizer")[["done", "diverged", "pruned", "failed"]].sum()
    total = int(by_optimizer.to_numpy().sum())
    for outcome in ("diverged", "failed"):
        lost = by_optimizer[by_optimizer[outcome] > 0]
        if len(lost):
            shares = ", ".join(f"{name} {int(row[outcome])} of {int(row.sum())}" for name, row in lost.iterrows())
            yield f"{int(lost[outcome].sum())} of {total} trials {outcome}: {shares}."


def cuts(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say what the race may have missed."""
    table = analysis.cuts
    if table.empty:
        return
    risky = table[table["may_have_won"]]
    what = times(len(table), "setting" if axis_columns(table) else "learning rate")
    sentence = f"{what} {'was' if len(table) == 1 else 'were'} cut before the last epoch"
    if risky.empty:
        yield f"{sentence}; none of them was catching up fast enough to win."
        return
    by_optimizer = ", ".join(f"{name} {count}" for name, count in risky["optimizer"].value_counts(sort=False).items())
    yield (
        f"{sentence}; {len(risky)} of them ({by_optimizer}) might have won at the pace of their last epoch, so for their methods "
        "the selected learning rate is less sure (table of cuts; strategy grid trains them to the end)."
    )


def edges(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say which lists of learning rates to extend to which side, since what was selected is their last entry."""
    selected = analysis.results.dropna(subset=["lr", "val_delta_m_mean"])
    if selected.empty:
        return
    swept, single = (analysis.trials[analysis.trials["role"] == role] for role in ("mtl", "stl"))
    baselines = single[single["cell_key"].isin(analysis.baselines["cell_key"])].drop_duplicates("cell_key")
    found = [
        *(f"of {words}" for words in _open_lists(selected, swept, "weighting")),
        *(f"of single-task {words}" for words in _open_lists(baselines, single, "task")),
    ]
    if found:
        yield f"The best learning rates are at an end of their lists: extend those {listed(found)}."


def _open_lists(chosen: pd.DataFrame, tried: pd.DataFrame, of: str) -> Iterator[str]:
    """Yield optimizers, in the order of `chosen`, with the side on which a chosen rate is the last of all that were tried."""
    ends = tried.groupby([of, "optimizer"], observed=True)["lr"].agg(["min", "max"]).reset_index()
    table = chosen[[of, "optimizer", "lr"]].merge(ends, on=[of, "optimizer"])
    table["name"] = without_compared(table["optimizer"])
    sides = {(True, True): "both ways", (True, False): "downwards", (False, True): "upwards"}
    at = zip(table["lr"] == table["min"], table["lr"] == table["max"], strict=True)
    table["side"] = [sides.get((bool(low), bool(high))) for low, high in at]
    counts = table.groupby("name").size()
    for (name, side), own in table.dropna(subset="side").groupby(["name", "side"], sort=False):
        yield f"{name} {side} ({len(own)} of {times(int(counts[name]), of)})"
