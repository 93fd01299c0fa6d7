"""The best method: how far it is from single-task learning, how sure that is, and what it costs each task."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mtlsweep.analysis.conclusions.statistics import FEWEST_SEEDS
from mtlsweep.analysis.objectives import counted, tasks_of
from mtlsweep.analysis.selection import axis_columns
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.trials.metric_names import column_of, delta_m_of

NOT_SEPARATED = "not separated from chance"


def best_method(analysis: SuiteAnalysis) -> str:
    """Return the headline."""
    results = analysis.results.dropna(subset="test_delta_m_mean")
    if results.empty:
        return "No method has a learning rate at which every seed finished, so there is nothing to compare."
    best = results.iloc[0]
    selected = pd.notna(best["val_delta_m_mean"])
    chosen = "Best on validation" if selected else "Lowest Δm in the table"
    delta = best["test_delta_m_mean"]
    rate = f" at learning rate {best['lr']:g}" if pd.notna(best["lr"]) else ""
    chosen_axes = (axis for axis in axis_columns(results) if pd.notna(best[axis]))
    rate += "".join(f", {axis} {best[axis]}" for axis in chosen_axes)
    verdict = "worse than" if delta > 0 else "better than"
    return (
        f"{chosen}: {best['weighting']} with {best['optimizer']}{rate}; "
        f"{'on test ' if selected else ''}it is {abs(delta):.2f} % {verdict} single-task learning"
        f"{_uncertainty(best, analysis.best)}."
    )


def _uncertainty(row: pd.Series, best: pd.DataFrame) -> str:
    """Say how sure the best method's figure is, and how lucky its validation figure, of all that were tried, is expected to be."""
    if pd.isna(row["test_delta_m_std"]):
        return " (one seed: no uncertainty is known)"
    seeds = f"{int(row['seeds'])} seeds{', wide since they are few' if row['seeds'] < FEWEST_SEEDS else ''}"
    low, high, how, luck = row["test_delta_m_low"], row["test_delta_m_high"], seeds, ""
    if len(best):
        repeated = best.iloc[0]
        luck = f"; on validation the best of {repeated['settings']} settings is about {max(repeated['optimism'], 0.0):.2f} points too good"
        how = f"{seeds}; without search" if pd.isna(repeated["low"]) else f"search included, {seeds}"
        low, high = (low, high) if pd.isna(repeated["low"]) else (repeated["low"], repeated["high"])
    chance = f", {NOT_SEPARATED}" if low <= 0 <= high else ""
    return f"{chance} (95 % interval {_interval(low, high)}, {how}){luck}"


def _interval(low: float, high: float) -> str:
    """Return an interval of Delta_m, in percent, in words that say which side of single-task learning each bound is on."""
    if low > 0:
        return f"{low:.2f} to {high:.2f} % worse"
    if high < 0:
        return f"{-high:.2f} to {-low:.2f} % better"
    return f"{-low:.2f} % better to {high:.2f} % worse"


def task_costs(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say which task the best method costs most and least."""
    results, tasks = analysis.results.dropna(subset="test_delta_m_mean"), tasks_of(counted(analysis.objectives))
    if results.empty or len(tasks) < 2:
        return
    figures = {task: column_of("test", delta_m_of(task)) for task in tasks}
    costs = sorted(((float(results.iloc[0][f"{figure}_mean"]), task) for task, figure in figures.items()), reverse=True)
    worst, least = costs[0], costs[-1]
    yield f"It costs {worst[1]} most ({worst[0]:+.1f} %) and {least[1]} least ({least[0]:+.1f} %; positive is worse)."


def budgets(analysis: SuiteAnalysis) -> Iterator[str]:
    """Say how many settings each method tried, where more than the learning rate is tuned."""
    axes = axis_columns(analysis.results)
    if axes:
        fewest, most = (int(count) for count in analysis.results["tried_settings"].agg(["min", "max"]))
        yield (
            f"Each method tried {fewest if fewest == most else f'{fewest} to {most}'} settings of the learning rate and of "
            f"{' and '.join(axes)} (where it has that option), and got the one that is best on validation."
        )
