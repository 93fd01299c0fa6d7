"""Delta_m: how much worse than single-task learning, in percent, over all metrics of all tasks.

Delta_m = (100 / K) sum over the K metrics of s_k (M_k - B_k) / B_k, with B the single-task baseline and
s_k = -1 where higher is better, +1 otherwise (Elich et al., arXiv 2311.04698): **positive = worse**.
It is a flat mean over metrics, so a task with five metrics weighs five times; the mean over tasks
is given beside it as `delta_m_task_mean`.

Deviation from the formula: the denominator is |B_k|, which is the same for every metric of the paper
(all positive) and keeps the sign right for one that is negative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from mtlsweep.analysis.objectives import Objective, counted, tasks_of
from mtlsweep.errors import UserError
from mtlsweep.trials.metric_names import DELTA_M, DELTA_M_TASK_MEAN, delta_m_of

Values = TypeVar("Values", float, np.ndarray)


def delta_m(values: pd.DataFrame, baseline: Mapping[str, float], objectives: Sequence[Objective]) -> pd.DataFrame:
    """Compare every row with the baseline.

    Args:
        values: a row per run, a column per objective (`Objective.name`).
        baseline: the single-task value of each objective.
        objectives: those with `in_delta_m` count, the others are ignored.

    Returns:
        Percent, indexed as `values`: `delta_m`, `delta_m_task_mean` and `delta_m_<task>`. A run that
        lacks a metric has NaN for that task and for both means.

    Raises:
        UserError: a baseline is zero or not finite, so that no relative change exists.
    """
    objectives = counted(objectives)
    changes = _changes({o.name: values[o.name].to_numpy(dtype=float) for o in objectives}, baseline, objectives)
    per_task = {task: changes[[o.task == task for o in objectives]].mean(axis=0) for task in tasks_of(objectives)}
    columns = {DELTA_M: changes.mean(axis=0), DELTA_M_TASK_MEAN: np.stack(list(per_task.values())).mean(axis=0)}
    columns |= {delta_m_of(task): mean for task, mean in per_task.items()}
    return pd.DataFrame(columns, index=values.index)


def mean_change(
    values: Mapping[str, np.ndarray], baseline: Mapping[str, float], objectives: Sequence[Objective]
) -> np.ndarray:
    """Return the column `delta_m` of the function `delta_m` alone, in a twentieth of its time.

    Args:
        values: for each objective that counts, its values, one per run.
        baseline: see `delta_m`.
        objectives: see `delta_m`.

    Raises:
        UserError: see `delta_m`.
    """
    return _changes(values, baseline, counted(objectives)).mean(axis=0)


def _changes(
    values: Mapping[str, np.ndarray], baseline: Mapping[str, float], objectives: Sequence[Objective]
) -> np.ndarray:
    """Return the relative change of each objective (rows) of each run (columns), in percent."""
    return np.stack([relative_change(values[o.name], baseline[o.name], o) for o in objectives])


def delta_m_columns(objectives: Sequence[Objective]) -> list[str]:
    """Return the names of the columns that `delta_m` makes."""
    return [DELTA_M, DELTA_M_TASK_MEAN, *(delta_m_of(task) for task in tasks_of(counted(objectives)))]


def relative_change(values: Values, baseline: float, objective: Objective) -> Values:
    """Return by how much one metric is worse than its baseline, in percent.

    Raises:
        UserError: the baseline is zero or not finite.
    """
    if not math.isfinite(baseline) or baseline == 0.0:
        raise UserError(
            f"the baseline of `{objective.label}` is {baseline:g}, so no change relative to it exists; "
            f"declare the metric with `in_delta_m=False`, or train the baseline longer."
        )
    sign = -1.0 if objective.higher_is_better else 1.0
    return 100.0 * sign * (values - baseline) / abs(baseline)
