"""The few figures of a suite that other programs read: summary, headline and the data of DVC's plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from mtlsweep.analysis.objectives import scatter_axes
from mtlsweep.analysis.selection import axis_columns, best_at_each_rate
from mtlsweep.analysis.suite import SuiteAnalysis


def summarise(analysis: SuiteAnalysis) -> dict[str, Any]:
    """Return the few numbers a person compares between commits; a number that is not finite is left out.

    The best method is the one with the lowest *validation* Delta_m; its test Delta_m is what is shown. Pareto counts are
    over the runs of the selected cells, `pareto_raw` over all finished runs.
    """
    best_by_optimizer = analysis.results.groupby("optimizer", observed=True).head(1)
    summary: dict[str, Any] = {
        "best": _described(analysis.results.iloc[0]) if len(analysis.results) else {},
        "best_by_optimizer": {row["optimizer"]: _described(row) for _, row in best_by_optimizer.iterrows()},
        "pareto": _by_optimizer(analysis.optimizer_counts),
        "pareto_raw": _by_optimizer(analysis.raw_optimizer_counts),
        "outcomes": {name: int(analysis.outcomes[name].sum()) for name in ("done", "diverged", "pruned", "failed")},
    }
    finite: dict[str, Any] = _only_finite(summary)
    return finite


def headline(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `dvc metrics` shows: as much of a summary as fits into a line of a terminal."""
    best, pareto = summary["best"], summary["pareto"]
    return {
        "best": {"method": f"{best['weighting']} {best['optimizer']}"} | _picked(best, "lr", "delta_m") if best else {},
        **{
            optimizer: _picked(summary["best_by_optimizer"].get(optimizer, {}), "delta_m")
            | _picked(counts, "pareto_full")
            for optimizer, counts in pareto.items()
        },
        "trials": _picked(summary["outcomes"], "done", "diverged", "failed"),
    }


def _picked(entries: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: entries[name] for name in names if name in entries}


def _by_optimizer(counts: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {
        row["optimizer"]: {name: value for name, value in row.items() if name != "optimizer"}
        for row in counts.to_dict("records")
    }


def _described(method: pd.Series) -> dict[str, Any]:
    return {
        "weighting": method["weighting"],
        "optimizer": method["optimizer"],
        "lr": method["lr"],
        **{axis: method[axis] for axis in axis_columns(method.to_frame().T) if pd.notna(method[axis])},
        "delta_m": method["test_delta_m_mean"],
        "delta_m_std": method["test_delta_m_std"],
        "val_delta_m": method["val_delta_m_mean"],
    }


def _only_finite(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _only_finite(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry is not None}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def plot_data(analysis: SuiteAnalysis) -> dict[str, pd.DataFrame]:
    """Return the tables behind `dvc plots`: Delta_m against learning rate, and the scatter of the first two tasks."""
    done = analysis.trials[(analysis.trials["role"] == "mtl") & (analysis.trials["outcome"] == "done")]
    by_rate = best_at_each_rate(done).groupby(["weighting", "optimizer", "lr"], as_index=False, observed=True)
    learning_rates = by_rate[["val_delta_m", "test_delta_m"]].mean()
    learning_rates.insert(0, "method", learning_rates["weighting"] + " " + learning_rates["optimizer"])
    x, y = scatter_axes(analysis.objectives)
    scatter = done[["trial_key", "weighting", "optimizer", "lr", "seed"]].assign(
        x=done[x.of("test").column], y=done[y.of("test").column], x_label=x.label, y_label=y.label
    )
    scatter = scatter.merge(analysis.raw_members[["trial_key", "full"]], on="trial_key", how="left")
    return {"delta_m_by_learning_rate": learning_rates, "scatter": scatter}
