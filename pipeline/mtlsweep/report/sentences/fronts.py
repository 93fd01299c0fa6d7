"""Which runs are Pareto-optimal, and whose runs dominate whose."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.sentences.words import times
from mtlsweep.report.style import optimizer_order


def pareto_counts(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how many runs of the selected cells are Pareto-optimal, by optimizer."""
    counts = analysis.optimizer_counts.set_index("optimizer")
    optimizers = optimizer_order(counts.index)
    if not optimizers:
        return
    total, runs = int(counts["pareto_full"].sum()), int(counts["runs"].sum())
    shares = ", ".join(f"{name} {times(int(counts.loc[name, 'pareto_full']), 'time')}" for name in optimizers)
    which = f"{runs} at the selected learning rates" if analysis.has_other_runs else f"{runs}"
    yield f"{times(total, 'run')} of {which} {'is' if total == 1 else 'are'} Pareto-optimal over {analysis.axes_in_words}: {shares}."


def raw_counts(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say the same of all finished runs, and how many of them could not be compared."""
    raw = analysis.raw_optimizer_counts.set_index("optimizer")
    if analysis.has_other_runs:
        words = ", ".join(
            f"{name} {int(raw.loc[name, 'pareto_full'])} of {int(raw.loc[name, 'runs'])}"
            for name in optimizer_order(raw.index)
        )
        yield f"Among all {int(raw['runs'].sum())} finished runs the raw counts are: {words}."
    missing = int(raw["not_comparable"].sum())
    if missing:
        yield f"{times(missing, 'run')} with a missing metric {'was' if missing == 1 else 'were'} left out of the fronts."


def head_to_head(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say of each two optimizers which one's runs dominate the other's."""
    counts = analysis.optimizer_counts.set_index("optimizer")
    for a, b in combinations(optimizer_order(counts.index), 2):
        yield _dominations(a, b, counts)


def _dominations(a: str, b: str, counts: pd.DataFrame) -> str:
    """No domination at all is the strongest statement, and comes first."""
    runs = {name: int(counts.loc[name, "runs"] - counts.loc[name, "not_comparable"]) for name in (a, b)}
    free = {a: int(counts.loc[a, f"pareto_wrt_{b}"]), b: int(counts.loc[b, f"pareto_wrt_{a}"])}
    if free[a] == runs[a] and free[b] == runs[b]:
        return f"No {a} run dominates a {b} run, nor the other way round."
    for winner, loser in ((a, b), (b, a)):
        if free[winner] == runs[winner]:
            return f"No {loser} run dominates any {winner} run; {winner} dominates {runs[loser] - free[loser]} of {runs[loser]} {loser} runs."
        if free[loser] == 0:
            return f"Every {loser} run is dominated by some {winner} run; {free[winner]} of {runs[winner]} {winner} runs are dominated by no {loser} run."
    return (
        f"{free[a]} of {runs[a]} {a} runs are dominated by no {b} run, and {free[b]} of {runs[b]} {b} runs by no {a} run."
    )  # fmt: skip
