"""The whole analysis of one suite, from raw curves to every table of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.analysis import pareto
from pipeline.analysis.objectives import Objective, counted, tasks_of
from pipeline.analysis.selection import (
    METHOD,
    measure_trials,
    select_baselines,
    select_learning_rates,
    with_delta_m,
)

IDENTITY = ["trial_key", "cell_key", "suite", "role", "task", "weighting", "optimizer", "lr", "seed", "outcome"]


@dataclass(frozen=True)
class SuiteAnalysis:
    """Every table of a suite, all in percent where they speak of Delta_m.

    Attributes:
        objectives: the metrics, with their directions.
        trials: a row per trial (STL and MTL) at its chosen epoch; what `trials.parquet` holds.
        results: a row per method: selected lr, mean and std over seeds of each test metric and Delta_m.
        baselines: a row per task and metric: the STL cell behind Delta_m.
        members: a row per finished MTL run: is it Pareto-optimal, in full and against each optimizer.
        optimizer_counts, weighting_counts: Pareto counts.
        outcomes: how many trials of each method and learning rate ended how.
    """

    objectives: tuple[Objective, ...]
    trials: pd.DataFrame
    results: pd.DataFrame
    baselines: pd.DataFrame
    members: pd.DataFrame
    optimizer_counts: pd.DataFrame
    weighting_counts: pd.DataFrame
    outcomes: pd.DataFrame


def analyse_suite(
    baseline_curves: pd.DataFrame,
    baseline_outcomes: pd.DataFrame,
    sweep_curves: pd.DataFrame,
    sweep_outcomes: pd.DataFrame,
    objectives: Sequence[Objective],
) -> SuiteAnalysis:
    """Select late, compare with the baselines, and count the fronts.

    Args:
        baseline_curves, sweep_curves: a row per (trial_key, epoch, split, task, metric).
        baseline_outcomes, sweep_outcomes: a row per trial.
        objectives: every metric of every task.

    Raises:
        UserError: a task has no usable baseline.
    """
    objectives = tuple(objectives)
    baselines = select_baselines(baseline_curves, baseline_outcomes, objectives)
    multi_task = with_delta_m(measure_trials(sweep_curves, sweep_outcomes, baselines, objectives), baselines, objectives)
    single_task = with_delta_m(baselines.trials, baselines, objectives)
    finished = multi_task[multi_task["outcome"] == "done"]
    members = pareto.pareto_members(finished, objectives)
    return SuiteAnalysis(
        objectives=objectives,
        trials=_trial_table(pd.concat([single_task, multi_task], ignore_index=True), objectives),
        results=results_by_method(multi_task, objectives),
        baselines=baselines.table,
        members=members,
        optimizer_counts=pareto.count_by_optimizer(members),
        weighting_counts=pareto.count_by_weighting(members),
        outcomes=count_outcomes(multi_task),
    )


def _trial_table(trials: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    names = [objective.name for objective in objectives]
    names += ["delta_m", "delta_m_task_mean", *(f"delta_m_{task}" for task in tasks_of(counted(objectives)))]
    figures = [f"{split}_{name}" for split in ("val", "test") for name in names]
    table = trials[[*IDENTITY, "best_epoch", *figures]].astype({"best_epoch": "Int32"})
    return table.sort_values("trial_key", ignore_index=True)


def results_by_method(trials: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return a row per method, best validation Delta_m first, methods without an eligible cell last.

    Columns: weighting, optimizer, lr, cell_key, seeds, cells, `val_delta_m_mean`, then mean and
    (sample) std over seeds of `test_delta_m`, its task mean, each task's, and each test metric.
    """
    figures = ["test_delta_m", "test_delta_m_task_mean"]
    figures += [f"test_delta_m_{task}" for task in tasks_of(counted(objectives))]
    figures += [f"test_{objective.name}" for objective in objectives]
    selected = select_learning_rates(trials).rename(columns={"mean": "val_delta_m_mean"})
    replicates = trials[trials["cell_key"].isin(selected["cell_key"])].groupby("cell_key", observed=True)[figures]
    means = replicates.mean().add_suffix("_mean")
    deviations = replicates.std(ddof=1).add_suffix("_std")
    ordered = [f"{figure}_{statistic}" for figure in figures for statistic in ("mean", "std")]
    statistics = pd.concat([means, deviations], axis=1)[ordered].reset_index()
    methods = trials.groupby(METHOD, as_index=False, observed=True).agg(cells=("cell_key", "nunique"))
    table = methods.merge(selected, on=METHOD, how="left").merge(statistics, on="cell_key", how="left")
    leading = [*METHOD, "lr", "cell_key", "seeds", "cells", "val_delta_m_mean"]
    table = table[[*leading, *ordered]].astype({"seeds": "Int32"})
    return table.sort_values(["val_delta_m_mean", *METHOD], ignore_index=True)


def count_outcomes(trials: pd.DataFrame) -> pd.DataFrame:
    """Return per weighting, optimizer and learning rate the number of trials with each outcome."""
    outcomes = ["done", "diverged", "pruned", "failed"]
    table = pd.crosstab([trials["weighting"], trials["optimizer"], trials["lr"]], trials["outcome"])
    return table.reindex(columns=outcomes, fill_value=0).reset_index().rename_axis(columns=None)
