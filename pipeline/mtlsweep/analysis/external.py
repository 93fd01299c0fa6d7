"""Results made elsewhere: one table of runs, made comparable with what our own sweeps produce.

The table has a row per run with `weighting`, `optimizer`, `lr`, optionally `seed`, and a column per
metric named `<task>_<metric>` (`semseg_miou`). There is no validation in it, so nothing is selected:
every combination of weighting, optimizer and learning rate is a result of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mtlsweep.analysis.conclusions.cuts import no_cuts
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.objectives import Objective, tasks_of
from mtlsweep.analysis.selection import METHOD
from mtlsweep.analysis.suite import SuiteAnalysis, conclude
from mtlsweep.errors import UserError, nearest
from mtlsweep.files import content_hash
from mtlsweep.trials.metric_names import check_columns, column_of

REQUIRED = ("weighting", "optimizer", "lr")
NOT_METRICS = (*REQUIRED, "seed", "delta_m", "delta_m_std")


def analyse_runs(runs: pd.DataFrame, higher: Sequence[str], baseline: str, source: str) -> SuiteAnalysis:
    """Compare the runs of a table with its baseline rows and conclude as for a sweep of our own.

    Args:
        runs: a row per run, see above; `delta_m` and `delta_m_std` are assumed to be printed results and ignored.
        higher: the metrics for which higher is better; for all others lower is.
        baseline: the weighting whose rows are the single-task baseline; replicates are averaged.
        source: what the table is called in error messages.

    Raises:
        UserError: a column or the baseline is missing, a metric is not a number, or a baseline is zero.
    """
    metrics = _metric_columns(runs, higher, source)
    objectives = tuple(_objective(metric, metric in higher) for metric in metrics)
    _check_names(objectives, source)
    runs = runs.rename(columns={metric: o.name for metric, o in zip(metrics, objectives, strict=True)})
    reference = runs[runs["weighting"] == baseline]
    if reference.empty:
        weightings = sorted(set(runs["weighting"].astype(str)))
        raise UserError(
            f"{source}: no row has the baseline weighting `{baseline}`{nearest(baseline, weightings)} "
            f"Found: {', '.join(weightings)}; name yours with --baseline."
        )
    values = {objective.name: _baseline_value(reference, objective, baseline, source) for objective in objectives}
    rivals = runs[runs["weighting"] != baseline].reset_index(drop=True)
    if rivals.empty:
        raise UserError(f"{source}: every row is the baseline `{baseline}`; there is nothing to compare with it.")
    trials = _as_trials(rivals, objectives, values, Path(source).stem)
    cells = trials.groupby([*METHOD, "lr", "cell_key"], as_index=False, dropna=False).agg(seeds=("seed", "size"))
    analysis = conclude(
        trials=trials,
        selected=cells.assign(mean=np.nan),
        baselines=_baseline_table(reference, objectives, values),
        sensitivity=pd.DataFrame(
            columns=["weighting", "optimizer", "best_lr", "low_lr", "high_lr", "decades", "tried", "open_end"]
        ),
        curves=pd.DataFrame(columns=["weighting", "optimizer", "epoch", "quantity", "task", "mean", "std"]),
        cuts=no_cuts(),
        objectives=objectives,
    )
    return replace(analysis, results=analysis.results.sort_values(["test_delta_m_mean", *METHOD], ignore_index=True))


def read_runs(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table of runs.

    Raises:
        UserError: the file is missing, of another kind, unreadable or empty.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(f"`{path}` is neither .csv nor .parquet; save the table as one of these.")
    try:
        runs = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no file `{path}`; check the path.") from error
    except (ValueError, OSError, pa.ArrowInvalid) as error:
        raise UserError(f"`{path}` cannot be read as a table: {' '.join(str(error).split())}.") from error
    if runs.empty:
        raise UserError(f"`{path}` has no rows; it needs a row per run.")
    return runs


def _metric_columns(runs: pd.DataFrame, higher: Sequence[str], source: str) -> list[str]:
    for column in REQUIRED:
        if column not in runs:
            raise UserError(
                f"{source}: there is no column `{column}`; expected {', '.join(REQUIRED)} and a column per metric, "
                f"found {', '.join(map(str, runs.columns))}."
            )
    metrics = [str(column) for column in runs.columns if column not in NOT_METRICS]
    if not metrics:
        raise UserError(f"{source}: there is no metric; add a column per metric, named like `semseg_miou`.")
    for name in higher:
        if name not in metrics:
            raise UserError(
                f"{source}: --higher names `{name}`, which is not a metric{nearest(name, metrics)} Found: {', '.join(metrics)}."
            )
    for metric in metrics:
        if not pd.api.types.is_numeric_dtype(runs[metric]):
            bad = runs[metric][pd.to_numeric(runs[metric], errors="coerce").isna() & runs[metric].notna()].iloc[0]
            raise UserError(
                f"{source}: column `{metric}` holds {bad!r}, which is not a number; remove the column or correct the value."
            )
    return metrics


def _objective(column: str, higher_is_better: bool) -> Objective:
    task, separator, metric = column.partition("_")
    return Objective(task, metric if separator else "metric", higher_is_better)


def _check_names(objectives: Sequence[Objective], source: str) -> None:
    metrics = {task: [o.metric for o in objectives if o.task == task] for task in tasks_of(objectives)}
    try:
        check_columns(metrics)
    except UserError as error:
        raise UserError(f"{source}: of columns, read as `<task>_<metric>`, {error}") from error


def _baseline_value(reference: pd.DataFrame, objective: Objective, baseline: str, source: str) -> float:
    measured = reference[reference[objective.name].notna()]
    cells = measured[["optimizer", "lr"]].drop_duplicates()
    if len(cells) != 1:
        found = "no value" if measured.empty else f"{len(cells)} different settings"
        raise UserError(
            f"{source}: the baseline `{baseline}` has {found} of `{objective.label}`; "
            f"keep the rows of one optimizer and learning rate."
        )
    return float(measured[objective.name].mean())


def _as_trials(
    runs: pd.DataFrame, objectives: Sequence[Objective], values: dict[str, float], suite: str
) -> pd.DataFrame:
    cell = ["weighting", "optimizer", "lr"]
    trials = runs[cell].astype({"weighting": str, "optimizer": str, "lr": float})
    replicate = runs.groupby(cell, dropna=False).cumcount()
    trials["seed"] = runs["seed"].astype("int64") if "seed" in runs else replicate.astype("int64")
    trials["cell_key"] = [content_hash([*row[:2], repr(row[2])]) for row in trials[cell].itertuples(index=False)]
    trials["trial_key"] = [
        content_hash([key, int(seed), int(copy)])
        for key, seed, copy in zip(trials["cell_key"], trials["seed"], replicate, strict=True)
    ]
    trials = trials.assign(suite=suite, role="mtl", task=None, outcome="done", best_epoch=None)
    metrics = runs[[objective.name for objective in objectives]].astype(float)
    figures = pd.concat([metrics, delta_m(metrics, values, objectives)], axis=1).rename(
        columns=partial(column_of, "test")
    )
    return pd.concat([trials, figures], axis=1)


def _baseline_table(reference: pd.DataFrame, objectives: Sequence[Objective], values: dict[str, float]) -> pd.DataFrame:
    rows = []
    for objective in objectives:
        measured = reference[reference[objective.name].notna()]
        row = {"task": objective.task, "metric": objective.metric, "lr": float(measured["lr"].iloc[0]), "cell_key": ""}
        row |= {"seeds": len(measured), "val_loss": np.nan, "val_mean": np.nan, "val_std": np.nan}
        rows.append(row | {"test_mean": values[objective.name], "test_std": measured[objective.name].std(ddof=1)})
    return pd.DataFrame(rows)
