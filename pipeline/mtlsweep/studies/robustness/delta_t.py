"""How much corruption costs: relative to clean images, and multi-task against single-task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mtlsweep.suites.tasks import Task
from mtlsweep.trials.metric_names import MetricName
from mtlsweep.trials.state import FinishedTrial

CLEAN = "clean"
METHOD = ["weighting", "optimizer", "lr"]
METRIC = ["task", "metric"]

SCORE_COLUMNS = [
    *(
        "trial_key",
        "role",
        *METHOD,
        "seed",
        *METRIC,
        "higher_is_better",
        "in_delta_t",
        "corruption",
        "severity",
        "value",
    )
]


def gather_scores(measured: Iterable[tuple[str, FinishedTrial]], tasks: Sequence[Task]) -> pd.DataFrame:
    """Return SCORE_COLUMNS of pairs (key of the source trial, the study's trial); losses are left out."""
    rows = [row for key, finished in measured for row in _rows(key, finished, tasks)]
    table = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    return table.sort_values(["trial_key", *METRIC, "corruption", "severity"], ignore_index=True)


def _rows(key: str, finished: FinishedTrial, tasks: Sequence[Task]) -> Iterator[dict[str, Any]]:
    cell = finished.trial.cell
    labels = {
        "trial_key": key,
        "role": cell.role,
        "weighting": cell.weighting_label,
        "optimizer": cell.optimizer_label,
        "lr": cell.learning_rate,
        "seed": finished.trial.seed,
    }
    known = {(task.name, metric.name): metric for task in tasks for metric in task.metrics}
    for record in finished.state.curve:
        for text, value in record.metrics.items():
            name = MetricName.parse(text)
            if name and (definition := known.get((name.task, name.metric))):
                yield {
                    **labels,
                    "task": name.task,
                    "metric": name.metric,
                    "higher_is_better": definition.higher_is_better,
                    "in_delta_t": definition.in_delta_m,
                    "corruption": name.split,
                    "severity": record.epoch,
                    "value": value,
                }


def delta_t_by_corruption(scores: pd.DataFrame) -> pd.DataFrame:
    """Return delta_t of every multi-task trial, metric and corruption: the mean over severities.

    With M the metric, delta_t = mean over (corruption c, severity s) of
    (-1)^p (M_cs^MTL / M_clean^MTL - M_cs^STL / M_clean^STL), p = 1 where higher is better: below zero the
    multi-task network is the more robust. The single-task ratio is the mean over replicates.

    Args:
        scores: SCORE_COLUMNS; `severity` 0 and corruption `clean` is the uncorrupted split. Metrics that
            are not `in_delta_t` are left out.

    Returns:
        Columns weighting, optimizer, lr, seed, task, metric, corruption, delta_t, severities.
    """
    counted = scores[scores["in_delta_t"].astype(bool)]
    is_clean = counted["corruption"] == CLEAN
    clean = counted[is_clean].set_index(["trial_key", *METRIC])["value"]
    corrupted = counted[~is_clean].copy()
    at = pd.MultiIndex.from_frame(corrupted[["trial_key", *METRIC]])
    corrupted["ratio"] = corrupted["value"].to_numpy() / clean.reindex(at).to_numpy()
    place = [*METRIC, "corruption", "severity"]
    single = corrupted[corrupted["role"] == "stl"].groupby(place)["ratio"].agg(_mean_of_all)
    multi = corrupted[corrupted["role"] == "mtl"].copy()
    reference = single.reindex(pd.MultiIndex.from_frame(multi[place])).to_numpy()
    sign = np.where(multi["higher_is_better"].astype(bool), -1.0, 1.0)
    multi["delta_t"] = sign * (multi["ratio"].to_numpy() - reference)
    groups = multi.groupby([*METHOD, "seed", *METRIC, "corruption"], sort=True)["delta_t"]
    return groups.agg(delta_t=_mean_of_all, severities="size").reset_index()


def delta_t(by_corruption: pd.DataFrame) -> pd.DataFrame:
    """Return delta_t of every method and metric, and over all metrics (task `all`, metric `mean`).

    Args:
        by_corruption: from `delta_t_by_corruption`, with as many severities for each corruption.

    Returns:
        Columns weighting, optimizer, lr, task, metric, delta_t (mean over seeds), std, seeds.
    """
    of_trial = by_corruption.groupby([*METHOD, "seed", *METRIC])["delta_t"].agg(_mean_of_all).reset_index()
    over_metrics = of_trial.groupby([*METHOD, "seed"])["delta_t"].agg(_mean_of_all).reset_index()
    everything = pd.concat([of_trial, over_metrics.assign(task="all", metric="mean")], ignore_index=True)
    summary = (
        everything.groupby([*METHOD, *METRIC], sort=True)["delta_t"].agg([_mean_of_all, "std", "size"]).reset_index()
    )
    return summary.rename(columns={"_mean_of_all": "delta_t", "size": "seeds"})


def _mean_of_all(values: pd.Series) -> float:
    """Return the mean; NaN if one is missing, rather than a mean of the others."""
    return float(values.mean(skipna=False))
