"""Optimizer against optimizer and weighting against weighting: what the tests tell apart, and what more seeds would.

A figure stands beside the interval that agrees with its test (`holm_levels`): where the interval includes 0 the sentence
says that it is not separated from chance. Corrected p values of what is not said in a sentence are in the tables.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from mtlsweep.analysis.conclusions.leads import PARTS
from mtlsweep.analysis.conclusions.settling import BY_SEED, Settling, settling_steps
from mtlsweep.analysis.conclusions.statistics import FEWEST_SEEDS
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.sentences.best import NOT_SEPARATED
from mtlsweep.report.sentences.words import p_of, times
from mtlsweep.report.style import optimizer_order


def lead(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how much of the best method's optimizer's lead over the closest other one single-task training has, too."""
    leads = analysis.leads
    if leads.empty:
        return
    row = leads.iloc[_closest(leads, analysis)].to_dict()
    better, worse, sign = (row["a"], row["b"], -1) if row["difference"] < 0 else (row["b"], row["a"], 1)
    (ahead, how_sure), (single, of_single), (gap, of_gap) = (
        (sign * row[part], _ends(row, part, sign)) for part in PARTS
    )
    few = ", few seeds" if row["seeds"] < FEWEST_SEEDS else ""
    others = f"; the table of leads has all {len(leads)} pairs" if len(leads) > 1 else ""
    yield (
        f"Of the {ahead:.1f} points of Δm by which {better} is ahead of {worse}{how_sure}, {single:.1f}{of_single} are a lead that "
        f"single-task training with {better} has, too, and {gap:.1f}{of_gap} are a multi-task gap that is "
        f"{'smaller' if gap >= 0 else 'larger'} ({times(row['weightings'], 'weighting')}, {times(row['seeds'], 'seed')}{few}){others}."
    )


def _closest(pairs: pd.DataFrame, analysis: SuiteAnalysis) -> int:
    """Return the position of the pair of the best method's optimizer and the one that is closest behind it, or most ahead."""
    best = analysis.results.iloc[0]["optimizer"] if len(analysis.results) else None
    ahead = pairs["difference"].where(pairs["b"] == best, -pairs["difference"])
    own = (pairs["a"] == best) | (pairs["b"] == best)
    return int(ahead.where(own, float("inf")).to_numpy().argmin())


def _ends(row: Mapping[Hashable, Any], part: str, sign: int) -> str:
    low, high = sorted(sign * row[f"{part}_{end}"] for end in ("low", "high"))
    if pd.isna(low):
        return ""
    chance = f", {NOT_SEPARATED}" if low <= 0 <= high else ", not tested" if pd.isna(row[f"{part}_p_holm"]) else ""
    kind = "95 % interval " if part == PARTS[0] else ""
    return f" ({kind}{low:.1f} to {high:.1f}{chance})"


def optimizers_overall(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say of each two optimizers whether one is better over weightings; the best method's and its closest rival first."""
    overall = analysis.comparisons[analysis.comparisons["question"] == "optimizer overall"]
    untested = overall[overall["p_holm"].isna()]
    for note, pairs in untested.groupby("note", sort=False):
        names = optimizer_order([*pairs["a"], *pairs["b"]])
        yield f"Which of {', '.join(names[:-1])} and {names[-1]} is better over weightings cannot be tested: {note}."
    tested = overall.drop(untested.index)
    if tested.empty:
        return
    first = tested.index[_closest(tested, analysis)]
    for row in tested.loc[[first, *tested.index.drop(first)]].itertuples():
        better, worse = (row.a, row.b) if row.difference < 0 else (row.b, row.a)
        if row.p_holm < 0.05:
            low, high = sorted((abs(row.low), abs(row.high)))
            yield (
                f"Over {row.pairs} weightings {better} is better than {worse} by {abs(row.difference):.1f} points of Δm on average "
                f"(95 % interval {low:.1f} to {high:.1f}; exact sign-flip test, {p_of(row.p_holm)} after Holm)."
            )
        else:
            yield (
                f"Over {row.pairs} weightings no difference between {row.a} and {row.b} is established "
                f"({better} ahead by {abs(row.difference):.1f} points of Δm, {p_of(row.p_holm)} after Holm)."
            )


def told_apart(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how many pairs of methods are told apart, and how many more would be with more seeds."""
    paired = analysis.comparisons[analysis.comparisons["question"].isin(BY_SEED)]
    if paired.empty:
        return
    settling = settling_steps(analysis.comparisons)
    if paired["p"].isna().all():
        if settling.seeds < FEWEST_SEEDS:
            would = f" {_would_decide(settling)}." if settling.steps else ""
            yield f"With {times(settling.seeds, 'seed')} no single pair of methods can be tested; {FEWEST_SEEDS} are needed.{would}"
        return
    found = []
    for question, words in (("weighting", "against ew within one optimizer"), ("optimizer", "within one weighting")):
        tested = paired[(paired["question"] == question) & paired["p"].notna()]
        if len(tested):
            found.append(f"{int((tested['p_holm'] < 0.05).sum())} of {len(tested)} comparisons {words}")
    would = f"; {_would_decide(settling)}" if settling.steps else ""
    yield f"{' and '.join(found)} are significant at 5 % after Holm's correction{would}."


def _would_decide(settling: Settling) -> str:
    number = max(settling.steps)
    return f"{number} seeds would decide {settling.steps[number]} of {settling.open} open ones"


def rankings(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how alike optimizers rank the weightings."""
    known = analysis.rankings.dropna(subset="p")
    if len(known):
        words = "; ".join(
            f"{row.optimizer_a} and {row.optimizer_b} τ = {row.tau:.2f} ({p_of(row.p)})" for row in known.itertuples()
        )
        yield f"How alike optimizers rank the weightings (Kendall's τ, 1 = the same): {words}."
