"""The answer in sentences, generated from the numbers, with their uncertainty."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from mtlsweep.analysis.conclusions.leads import PARTS
from mtlsweep.analysis.conclusions.settling import BY_SEED, Settling, settling_steps
from mtlsweep.analysis.conclusions.statistics import FEWEST_SEEDS
from mtlsweep.analysis.objectives import counted, tasks_of
from mtlsweep.analysis.selection import axis_columns
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.style import optimizer_order
from mtlsweep.report.tables.table import p_value
from mtlsweep.trials.metric_names import column_of, delta_m_of


def answer(analysis: SuiteAnalysis) -> list[str]:
    """Return what a reader should know first about a suite, most important first."""
    return [
        *_best_method(analysis),
        *_budgets(analysis),
        *_fronts(analysis),
        *_optimizers_overall(analysis),
        *_leads(analysis),
        *_tested_methods(analysis),
        *_rankings(analysis),
        *_lost_trials(analysis),
        *_cuts(analysis),
        *_edges(analysis),
    ]


def _best_method(analysis: SuiteAnalysis) -> Iterator[str]:
    results = analysis.results.dropna(subset="test_delta_m_mean")
    if results.empty:
        yield "No method has a learning rate at which every seed finished, so there is nothing to compare."
        return
    best = results.iloc[0]
    selected = pd.notna(best["val_delta_m_mean"])
    chosen = "Best on validation" if selected else "Lowest Delta_m in the table"
    delta = best["test_delta_m_mean"]
    rate = f" at learning rate {best['lr']:g}" if pd.notna(best["lr"]) else ""
    chosen_axes = (axis for axis in axis_columns(results) if pd.notna(best[axis]))
    rate += "".join(f", {axis} {best[axis]}" for axis in chosen_axes)
    verdict = "worse than" if delta > 0 else "better than"
    yield (
        f"{chosen}: {best['weighting']} with {best['optimizer']}{rate}; "
        f"{'on test ' if selected else ''}it is {abs(delta):.2f} % {verdict} single-task learning"
        f"{_uncertainty(best, analysis.best)}."
    )
    tasks = tasks_of(counted(analysis.objectives))
    if len(tasks) > 1:
        figures = {task: column_of("test", delta_m_of(task)) for task in tasks}
        costs = sorted(((float(best[f"{figure}_mean"]), task) for task, figure in figures.items()), reverse=True)
        worst, least = costs[0], costs[-1]
        yield f"It costs {worst[1]} most ({worst[0]:+.1f} %) and {least[1]} least ({least[0]:+.1f} %; positive is worse)."


def _budgets(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how many settings each method tried, where more than the learning rate is tuned."""
    axes = axis_columns(analysis.results)
    if axes:
        fewest, most = (int(count) for count in analysis.results["tried_settings"].agg(["min", "max"]))
        yield (
            f"Each method tried {fewest if fewest == most else f'{fewest} to {most}'} settings of the learning rate and of "
            f"{' and '.join(axes)} (where it has that option), and got the one that is best on validation."
        )


def _uncertainty(row: pd.Series, best: pd.DataFrame) -> str:
    """Say how sure the best method's figure is, and how lucky its validation figure, of all that were tried, is expected to be."""
    if pd.isna(row["test_delta_m_std"]):
        return " (one seed: no uncertainty is known)"
    seeds = f"{int(row['seeds'])} seeds{', wide since they are few' if row['seeds'] < FEWEST_SEEDS else ''}"
    ends = row["test_delta_m_low"], row["test_delta_m_high"]
    if best.empty:
        return f" ({_interval(*ends)}, {seeds})"
    repeated = best.iloc[0]
    points = max(repeated["optimism"], 0.0)
    luck = f"; on validation the best of {repeated['settings']} is about {points:.2f} points too good"
    if pd.isna(repeated["low"]):
        return f" ({_interval(*ends)}, {seeds}; without search){luck}"
    return f" ({_interval(repeated['low'], repeated['high'])}, search included, {seeds}){luck}"


def _interval(low: float, high: float) -> str:
    return f"95 % interval {low:.2f} to {high:.2f} % worse"


def _fronts(analysis: SuiteAnalysis) -> Iterator[str]:
    counts = analysis.optimizer_counts.set_index("optimizer")
    optimizers = optimizer_order(counts.index)
    if not optimizers:
        return
    total = int(counts["pareto_full"].sum())
    shares = ", ".join(f"{name} {int(counts.loc[name, 'pareto_full'])} times" for name in optimizers)
    runs = int(counts["runs"].sum())
    raw = analysis.raw_optimizer_counts.set_index("optimizer")
    which = f"{runs} at the selected learning rates" if analysis.has_other_runs else f"{runs}"
    yield f"{_times(total, 'run')} of {which} {'is' if total == 1 else 'are'} Pareto-optimal over {analysis.axes_in_words}: {shares}."
    if analysis.has_other_runs:
        words = ", ".join(
            f"{name} {int(raw.loc[name, 'pareto_full'])} of {int(raw.loc[name, 'runs'])}"
            for name in optimizer_order(raw.index)
        )
        yield f"Among all {int(raw['runs'].sum())} finished runs the raw counts are: {words}."
    for a, b in combinations(optimizers, 2):
        yield _head_to_head(a, b, counts)
    missing = int(raw["not_comparable"].sum())
    if missing:
        yield f"{_times(missing, 'run')} with a missing metric {'was' if missing == 1 else 'were'} left out of the fronts."


def _head_to_head(a: str, b: str, counts: pd.DataFrame) -> str:
    """Say which optimizer's runs dominate the other's; no domination at all is the strongest statement."""
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


def _optimizers_overall(analysis: SuiteAnalysis) -> Iterator[str]:
    overall = analysis.comparisons[analysis.comparisons["question"] == "optimizer overall"]
    untested = overall[overall["p_holm"].isna()]
    for note, pairs in untested.groupby("note", sort=False):
        names = optimizer_order([*pairs["a"], *pairs["b"]])
        yield f"Which of {', '.join(names[:-1])} and {names[-1]} is better over weightings cannot be tested: {note}."
    for row in overall.drop(untested.index).itertuples():
        better, worse = (row.a, row.b) if row.difference < 0 else (row.b, row.a)
        if row.p_holm < 0.05:
            low, high = sorted((abs(row.low), abs(row.high)))
            yield (
                f"Over {row.pairs} weightings {better} is better than {worse} by {abs(row.difference):.1f} points of Delta_m on average "
                f"(95 % interval {low:.1f} to {high:.1f}; exact sign-flip test, {_p(row.p_holm)} after Holm)."
            )
        else:
            yield (
                f"Over {row.pairs} weightings no difference between {row.a} and {row.b} is established "
                f"({better} ahead by {abs(row.difference):.1f} points of Delta_m, {_p(row.p_holm)} after Holm)."
            )


def _leads(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how much of each lead single-task training has, too."""
    for row in analysis.leads.to_dict("records"):
        better, worse, sign = (row["a"], row["b"], -1) if row["difference"] < 0 else (row["b"], row["a"], 1)
        lead, single, gap = ((sign * row[part], _ends(row, part, sign)) for part in PARTS)
        few = ", few seeds" if row["seeds"] < FEWEST_SEEDS else ""
        yield (
            f"Of the {lead[0]:.1f} points of Delta_m{lead[1]} by which {better} is ahead of {worse}, {single[0]:.1f}{single[1]} are "
            f"a lead that single-task training with {better} has, too, and {gap[0]:.1f}{gap[1]} are a multi-task gap that is "
            f"{'smaller' if gap[0] >= 0 else 'larger'} ({_times(row['weightings'], 'weighting')}, {_times(row['seeds'], 'seed')}{few})."
        )


def _ends(row: Mapping[Hashable, Any], part: str, sign: int) -> str:
    low, high = sorted(sign * row[f"{part}_{end}"] for end in ("low", "high"))
    if pd.isna(low):
        return ""
    p = row.get(f"{part}_p_holm", float("nan"))
    tested = "" if pd.isna(p) else f"; {_p(p)} after Holm"
    return f" (95 % interval {low:.1f} to {high:.1f}{tested})"


def _tested_methods(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how many pairs of methods are told apart, and how many more would be with more seeds."""
    paired = analysis.comparisons[analysis.comparisons["question"].isin(BY_SEED)]
    if paired.empty:
        return
    settling = settling_steps(analysis.comparisons)
    if paired["p"].isna().all():
        if settling.seeds < FEWEST_SEEDS:
            would = f" {_would_decide(settling)}." if settling.steps else ""
            yield f"With {_times(settling.seeds, 'seed')} no single pair of methods can be tested; {FEWEST_SEEDS} are needed.{would}"
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


def _rankings(analysis: SuiteAnalysis) -> Iterator[str]:
    known = analysis.rankings.dropna(subset="p")
    if len(known):
        words = "; ".join(
            f"{row.optimizer_a} and {row.optimizer_b} τ = {row.tau:.2f} ({_p(row.p)})" for row in known.itertuples()
        )
        yield f"How alike optimizers rank the weightings (Kendall's τ, 1 = the same): {words}."


def _lost_trials(analysis: SuiteAnalysis) -> Iterator[str]:
    by_optimizer = analysis.outcomes.groupby("optimizer")[["done", "diverged", "pruned", "failed"]].sum()
    total = int(by_optimizer.to_numpy().sum())
    for outcome in ("diverged", "failed"):
        lost = by_optimizer[by_optimizer[outcome] > 0]
        if len(lost):
            shares = ", ".join(f"{name} {int(row[outcome])} of {int(row.sum())}" for name, row in lost.iterrows())
            yield f"{int(lost[outcome].sum())} of {total} trials {outcome}: {shares}."


def _cuts(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say what the race may have missed."""
    cuts = analysis.cuts
    if cuts.empty:
        return
    risky = cuts[cuts["may_have_won"]]
    sentence = f"{_times(len(cuts), 'setting' if axis_columns(cuts) else 'learning rate')} {'was' if len(cuts) == 1 else 'were'} cut before the last epoch"
    if risky.empty:
        yield f"{sentence}; none of them was catching up fast enough to win."
        return
    by_optimizer = ", ".join(f"{name} {count}" for name, count in risky["optimizer"].value_counts(sort=False).items())
    yield (
        f"{sentence}; {len(risky)} of them ({by_optimizer}) might have won at the pace of their last epoch, so for their methods "
        "the selected learning rate is less sure (table of cuts; strategy grid trains them to the end)."
    )


def _edges(analysis: SuiteAnalysis) -> Iterator[str]:
    """Warn if the best learning rate is at the end of the tried range: a better one may be outside."""
    rows = analysis.sensitivity
    edge = rows[(rows["best_lr"] == rows["low_lr"]) & rows["open_end"].isin(["low", "both"])
                | (rows["best_lr"] == rows["high_lr"]) & rows["open_end"].isin(["high", "both"])]  # fmt: skip
    if len(edge):
        yield (
            f"For {len(edge)} of {len(rows)} methods the best learning rate is the lowest or highest that was tried, "
            "so a better one may lie beyond: extend sweep.learning_rates in params.yaml."
        )


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _p(p: float) -> str:
    words = p_value(p)
    return f"p {words}" if words.startswith("<") else f"p = {words}"
